package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Folder is a folder to bring into a store.
type Folder struct {
	Manifest string // its digest, under which peers are looked for
	tree.Limits
	// Elsewhere has what no peer gives; nil: nobody has.
	Elsewhere blob.Blobs
	// Room is called once the manifest is here, and makes room for the bytes of blobs that are
	// not; nil: there is.
	Room func(missing int64) error
	// Progress is told how many bytes of the files are here; nil: nobody is.
	Progress func(done, total int64)
}

// Folder brings a folder's manifest and all it names into a store, going on with what an
// earlier attempt left there. Errors: ErrNobody, tree.ErrManifest, tree.ErrTooMuch,
// blob.ErrDigest when every source is wrong, blob.ErrNoSpace, and Room's.
func (s *Swarm) Folder(ctx context.Context, want Folder, into *blob.Store) error {
	i := s.Image(want.Manifest)
	defer i.Close()
	f := &folder{Folder: want, image: i, into: into}
	m, err := f.manifest(ctx)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", want.Manifest, err)
	}
	if err := f.room(m.GetEntries()); err != nil {
		return err
	}
	for _, e := range m.GetEntries() {
		if err := f.file(ctx, e); err != nil {
			return fmt.Errorf("file %q: %w", e.GetPath(), err)
		}
	}
	i.Good()
	return nil
}

// folder is one Folder on its way.
type folder struct {
	Folder
	image       *Image
	into        *blob.Store
	done, total int64
}

func (f *folder) manifest(ctx context.Context) (*marketv1.Manifest, error) {
	if !f.into.Has(f.Manifest) {
		content, err := f.image.Document(ctx, f.Manifest, tree.MaxManifest)
		if errors.Is(err, ErrNobody) && f.Elsewhere != nil {
			err = errors.Join(err, blob.FetchAtMost(ctx, f.Elsewhere, f.Manifest, f.into, tree.MaxManifest))
		} else if err == nil {
			err = f.into.Put(ctx, f.Manifest, bytes.NewReader(content))
		}
		if err != nil && !f.into.Has(f.Manifest) {
			return nil, err
		}
	}
	return tree.ReadManifest(ctx, f.into, f.Manifest, f.Limits)
}

// room counts what is missing, each blob once.
func (f *folder) room(entries []*marketv1.Entry) error {
	seen, missing := make(map[string]bool), int64(0)
	for _, e := range entries {
		if d := e.GetDigest(); d != "" && !seen[d] {
			seen[d] = true
			f.total += int64(e.GetSizeBytes())
			if f.into.Has(d) {
				f.done += int64(e.GetSizeBytes())
			} else {
				missing += int64(e.GetSizeBytes())
			}
		}
	}
	if f.Room == nil {
		return nil
	}
	return f.Room(missing)
}

// file brings one file's content here. What was wrong is asked for again: the second reading
// is from one source alone, each time another.
func (f *folder) file(ctx context.Context, e *marketv1.Entry) error {
	digest, size := e.GetDigest(), int64(e.GetSizeBytes())
	if digest == "" || f.into.Has(digest) {
		return nil
	}
	if size == 0 { // nobody needs to be asked
		return f.into.Put(ctx, digest, bytes.NewReader(nil))
	}
	before, err := f.done, error(nil)
	for range maxMembers + 2 {
		f.done = before
		if err = blob.FetchAtMost(ctx, fileSource{f, size}, digest, f.into, size); !errors.Is(err, blob.ErrDigest) {
			break
		}
	}
	if err == nil {
		f.done = before + size
	}
	return err
}

// fileSource has one file's content, from peers or else from elsewhere.
type fileSource struct {
	f    *folder
	size int64
}

// Blob implements blob.Blobs.
func (c fileSource) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	body, err := c.f.image.Layer(ctx, digest, c.size, offset)
	if errors.Is(err, ErrNobody) && c.f.Elsewhere != nil {
		other, oerr := c.f.Elsewhere.Blob(ctx, digest, offset)
		if oerr != nil {
			return nil, fmt.Errorf("%w; %w", err, oerr)
		}
		body, err = c.f.image.Elsewhere(digest, c.size, offset, other), nil
	}
	if err != nil {
		return nil, err
	}
	return &told{body, c.f, c.f.done + offset}, nil
}

// told tells of progress.
type told struct {
	io.ReadCloser
	f  *folder
	at int64
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.at += int64(n)
	if t.f.Progress != nil && n > 0 {
		t.f.Progress(min(t.at, t.f.total), t.f.total)
	}
	return n, err
}
