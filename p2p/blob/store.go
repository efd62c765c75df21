package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Store is content on disk. Complete blobs are sha256/aa/<hex>; what is still
// arriving is partial/<hex>, and its length is how far it came, also after a
// crash. One process uses a store; its methods may be used concurrently.
type Store struct {
	dir string

	mu      sync.Mutex
	writing map[string]chan struct{} // by hex; closed when the writer is done
}

// Open opens the store in dir and creates it if need be.
func Open(dir string) (*Store, error) {
	for _, d := range []string{"sha256", "partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("open blob store: %w", err)
		}
	}
	return &Store{dir: dir, writing: make(map[string]chan struct{})}, nil
}

func (s *Store) path(name string) string    { return filepath.Join(s.dir, "sha256", name[:2], name) }
func (s *Store) partial(name string) string { return filepath.Join(s.dir, "partial", name) }

// Has says whether the whole blob is here.
func (s *Store) Has(digest string) bool {
	_, err := s.Size(digest)
	return err == nil
}

// Size is a complete blob's length in bytes, or ErrUnknown.
func (s *Store) Size(digest string) (int64, error) {
	name, err := hexOf(digest)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %s", ErrUnknown, digest)
	}
	if err != nil {
		return 0, fmt.Errorf("look at blob: %w", err)
	}
	return info.Size(), nil
}

// Reader reads a complete blob from an offset on: ErrUnknown, ErrRange.
func (s *Store) Reader(digest string, offset int64) (io.ReadCloser, error) {
	name, err := hexOf(digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, digest)
	}
	if err != nil {
		return nil, fmt.Errorf("read blob: %w", err)
	}
	if err := seek(f, offset); err != nil {
		f.Close()
		return nil, fmt.Errorf("read blob %s: %w", digest, err)
	}
	return f, nil
}

func seek(f *os.File, offset int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if offset < 0 || offset > info.Size() {
		return ErrRange
	}
	_, err = f.Seek(offset, io.SeekStart)
	return err
}

// Blob is Reader as a Source.
func (s *Store) Blob(_ context.Context, digest string, offset int64) (io.ReadCloser, error) {
	return s.Reader(digest, offset)
}

// Put stores what r holds, which must have the digest. A blob already here is
// not read.
func (s *Store) Put(ctx context.Context, digest string, r io.Reader) error {
	w, err := s.writer(ctx, digest, os.O_TRUNC) // r starts at the beginning
	if errors.Is(err, ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.Copy(w, contextReader{ctx, r}); err != nil {
		return fmt.Errorf("store blob %s: %w", digest, noSpace(err))
	}
	return w.Commit()
}

// PutBytes stores content and returns its digest.
func (s *Store) PutBytes(ctx context.Context, content []byte) (string, error) {
	digest := Digest(content)
	return digest, s.Put(ctx, digest, bytes.NewReader(content))
}

// Remove deletes a blob, whole or partial. One that is not here is no error.
func (s *Store) Remove(digest string) error {
	name, err := hexOf(digest)
	if err != nil {
		return err
	}
	for _, p := range []string{s.path(name), s.partial(name)} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove blob: %w", err)
		}
	}
	return nil
}
