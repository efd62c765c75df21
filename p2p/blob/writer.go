package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Writer adds to one partial blob. It is for one goroutine.
type Writer struct {
	s      *Store
	digest string
	name   string
	f      *os.File
	sum    hash.Hash
	offset int64
	once   sync.Once
}

// Writer continues or begins a blob. Two writers of one blob take turns; the
// second finds ErrExists if the first one finished. Close it in any case.
func (s *Store) Writer(ctx context.Context, digest string) (*Writer, error) {
	return s.writer(ctx, digest, 0)
}

// writer opens the partial file with the given flags beside the usual ones.
func (s *Store) writer(ctx context.Context, digest string, flags int) (*Writer, error) {
	name, err := hexOf(digest)
	if err != nil {
		return nil, err
	}
	if err := s.acquire(ctx, name); err != nil {
		return nil, fmt.Errorf("write blob %s: %w", digest, err)
	}
	w := &Writer{s: s, digest: digest, name: name}
	if s.Has(digest) {
		s.free(name)
		return nil, fmt.Errorf("%w: %s", ErrExists, digest)
	}
	if err := w.resume(ctx, flags); err != nil {
		w.Close()
		return nil, fmt.Errorf("write blob %s: %w", digest, noSpace(err))
	}
	return w, nil
}

// resume hashes what is there already: the sum is of the whole content.
func (w *Writer) resume(ctx context.Context, flags int) (err error) {
	w.f, err = os.OpenFile(w.s.partial(w.name), os.O_RDWR|os.O_CREATE|flags, 0o600)
	if err != nil {
		return err
	}
	w.sum = sha256.New()
	if flags&os.O_TRUNC != 0 {
		return nil
	}
	w.offset, err = io.CopyBuffer(w.sum, contextReader{ctx, w.f}, make([]byte, 256<<10))
	return err
}

// Offset is how many bytes are there: where the next Write goes.
func (w *Writer) Offset() int64 { return w.offset }

// Write appends to the content.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	w.sum.Write(p[:n])
	w.offset += int64(n)
	if err != nil {
		return n, fmt.Errorf("write blob %s: %w", w.digest, noSpace(err))
	}
	return n, nil
}

// Restart throws away what is there.
func (w *Writer) Restart() error {
	if err := w.f.Truncate(0); err != nil {
		return fmt.Errorf("restart blob %s: %w", w.digest, err)
	}
	if _, err := w.f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("restart blob %s: %w", w.digest, err)
	}
	w.sum.Reset()
	w.offset = 0
	return nil
}

// Commit makes the blob complete, durably. With ErrDigest the partial content
// is gone: none of it can be trusted.
func (w *Writer) Commit() error {
	if got := FromSum(w.sum.Sum(nil)); got != w.digest {
		err := fmt.Errorf("%w: want %s, got %s", ErrDigest, w.digest, got)
		return errors.Join(err, w.Restart())
	}
	if err := w.commit(); err != nil {
		return fmt.Errorf("commit blob %s: %w", w.digest, noSpace(err))
	}
	return nil
}

func (w *Writer) commit() error {
	if err := w.f.Sync(); err != nil {
		return err
	}
	path := w.s.path(w.name)
	shelf := filepath.Dir(path)
	if err := os.Mkdir(shelf, 0o700); err == nil {
		if err := syncDir(filepath.Dir(shelf)); err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := os.Rename(w.s.partial(w.name), path); err != nil {
		return err
	}
	return syncDir(shelf)
}

// Close lets the next writer in. What was not committed is kept for it, unless
// that is nothing.
func (w *Writer) Close() error {
	var err error
	w.once.Do(func() {
		if w.f != nil {
			err = w.f.Close()
			if w.offset == 0 && !w.s.Has(w.digest) {
				_ = os.Remove(w.s.partial(w.name))
			}
		}
		w.s.free(w.name)
	})
	return err
}

func (s *Store) acquire(ctx context.Context, name string) error {
	for {
		s.mu.Lock()
		busy, taken := s.writing[name]
		if !taken {
			s.writing[name] = make(chan struct{})
		}
		s.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) free(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.writing[name])
	delete(s.writing, name)
}

// contextReader stops a copy between two reads.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
