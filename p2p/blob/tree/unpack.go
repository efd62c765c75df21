package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/p2p/blob"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// UnpackOptions says how a folder is made.
type UnpackOptions struct {
	Limits
	// OutsideLinks makes links that lead out of the folder too, such as
	// /usr/bin/python3, which mean something inside a task. Without it they are
	// left out and listed: on a person's own machine they would point at the
	// person's own files.
	OutsideLinks bool
	// Web reads what a URL of a manifest leads to; nil, or where it fails: the source does.
	Web func(url string) blob.Blobs
}

// Unpacked is what became of a manifest.
type Unpacked struct {
	Bytes   uint64   // of all files together
	Entries int      // files, folders and links made
	Skipped []string // at most 100 links that were left out
	Left    int      // how many were left out
}

// ReadManifest reads a manifest blob and checks it.
func ReadManifest(ctx context.Context, src blob.Blobs, digest string, l Limits) (*marketv1.Manifest, error) {
	var b bytes.Buffer
	if _, err := blob.Copy(ctx, src, digest, &b, MaxManifest); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if err := count(b.Bytes(), l.withDefaults().Entries); err != nil {
		return nil, err
	}
	var m marketv1.Manifest
	if err := proto.Unmarshal(b.Bytes(), &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if err := Check(&m, l); err != nil {
		return nil, err
	}
	return &m, nil
}

// count refuses a manifest of too many entries before they are made: an empty one
// takes 2 bytes here, and seventy times that as a message.
func count(manifest []byte, most int) error {
	for entries := 0; len(manifest) > 0; {
		_, _, n := protowire.ConsumeField(manifest)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrManifest, protowire.ParseError(n))
		}
		if entries++; entries > most {
			return fmt.Errorf("%w: more than %d entries", ErrTooMuch, most)
		}
		manifest = manifest[n:]
	}
	return nil
}

// Unpack makes a manifest's folder in dir, which must be empty or not exist.
// Every file is checked against its digest. After an error dir may hold a part.
func Unpack(ctx context.Context, src blob.Blobs, manifest, dir string, opts UnpackOptions) (Unpacked, error) {
	m, err := ReadManifest(ctx, src, manifest, opts.Limits)
	if err != nil {
		return Unpacked{}, fmt.Errorf("unpack folder: %w", err)
	}
	root, err := emptyRoot(dir)
	if err != nil {
		return Unpacked{}, fmt.Errorf("unpack folder: %w", err)
	}
	defer root.Close()
	u := &unpacker{root: root, src: src, outside: opts.OutsideLinks, web: opts.Web}
	if err := u.all(ctx, m.GetEntries()); err != nil {
		return u.done, fmt.Errorf("unpack folder: %w", err)
	}
	return u.done, nil
}

func emptyRoot(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	defer f.Close()
	if names, _ := f.Readdirnames(1); len(names) > 0 {
		root.Close()
		return nil, fmt.Errorf("%w: %s", ErrNotEmpty, dir)
	}
	return root, nil
}

type unpacker struct {
	root    *os.Root
	src     blob.Blobs
	outside bool
	web     func(url string) blob.Blobs
	done    Unpacked
}

// all makes folders, then files, then links: while files are written there is
// no link that could lead them elsewhere. Folders get their modes last, since
// one may forbid writing.
func (u *unpacker) all(ctx context.Context, entries []*marketv1.Entry) error {
	for _, e := range entries {
		if e.GetDirectory() {
			if err := u.root.Mkdir(e.GetPath(), 0o700); err != nil {
				return err
			}
			u.done.Entries++
		}
	}
	for _, e := range entries {
		if e.GetDigest() != "" {
			if err := u.file(ctx, e); err != nil {
				return err
			}
		}
	}
	for _, e := range entries {
		if e.GetLinkTarget() != "" {
			if err := u.link(e); err != nil {
				return err
			}
		}
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if e := entries[i]; e.GetDirectory() {
			if err := u.root.Chmod(e.GetPath(), fs.FileMode(e.GetMode())&fs.ModePerm); err != nil {
				return err
			}
		}
	}
	return nil
}

func (u *unpacker) file(ctx context.Context, e *marketv1.Entry) error {
	f, err := u.root.OpenFile(e.GetPath(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := u.content(ctx, e, f)
	if err == nil && uint64(n) != e.GetSizeBytes() {
		err = fmt.Errorf("%w: %d bytes where it says %d", ErrManifest, n, e.GetSizeBytes())
	}
	if err != nil {
		return fmt.Errorf("file %q: %w", e.GetPath(), err)
	}
	// Not before: until then nobody else may read it, and the umask has no say.
	if err := errors.Join(f.Chmod(fs.FileMode(e.GetMode())&fs.ModePerm), f.Close()); err != nil {
		return err
	}
	u.done.Entries++
	u.done.Bytes += uint64(n)
	return nil
}

// content writes a file's content: as the web has it, or as the source does.
func (u *unpacker) content(ctx context.Context, e *marketv1.Entry, f *os.File) (int64, error) {
	limit := int64(e.GetSizeBytes()) + 1
	if u.web == nil || e.GetUrl() == "" {
		return blob.Copy(ctx, u.src, e.GetDigest(), f, limit)
	}
	n, err := blob.Copy(ctx, u.web(e.GetUrl()), e.GetDigest(), f, limit)
	if err == nil || ctx.Err() != nil {
		return n, err
	}
	if _, serr := f.Seek(0, io.SeekStart); serr != nil {
		return 0, serr
	}
	if terr := f.Truncate(0); terr != nil {
		return 0, terr
	}
	n, other := blob.Copy(ctx, u.src, e.GetDigest(), f, limit)
	if other != nil {
		return n, fmt.Errorf("%w; %w: %s: %w", other, ErrWeb, e.GetUrl(), err)
	}
	return n, nil
}

func (u *unpacker) link(e *marketv1.Entry) error {
	if !u.outside && !staysInside(e.GetPath(), e.GetLinkTarget()) {
		u.done.Left++
		if len(u.done.Skipped) < maxListed {
			u.done.Skipped = append(u.done.Skipped, e.GetPath()+" -> "+e.GetLinkTarget())
		}
		return nil
	}
	u.done.Entries++
	return u.root.Symlink(e.GetLinkTarget(), e.GetPath())
}
