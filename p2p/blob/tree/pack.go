package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/p2p/blob"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// PackOptions says how a folder is read.
type PackOptions struct {
	Limits
	// SkipOdd leaves out what cannot be packed (a socket, a name that is not
	// UTF-8, an unreadable file) and lists it, as for a task's outputs. Without
	// it that is an error, as for a person's inputs.
	SkipOdd bool
}

// Packed is a folder as blobs.
type Packed struct {
	Manifest string   // digest
	Bytes    uint64   // of all files together
	Entries  int      // files, folders and links
	Skipped  []string // at most 100 names of what was left out
	Left     int      // how many were left out
}

// PackDir packs a folder that a person named.
func PackDir(ctx context.Context, dir string, sink Sink, opts PackOptions) (Packed, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Packed{}, fmt.Errorf("pack folder: %w", err)
	}
	defer root.Close()
	return Pack(ctx, root, sink, opts)
}

// Pack puts a folder's files and then its manifest into sink. The same content
// gives the same manifest: there are no times or owners in it, and nothing
// outside root is ever opened.
func Pack(ctx context.Context, root *os.Root, sink Sink, opts PackOptions) (Packed, error) {
	p := &packer{root: root, sink: sink, limits: opts.Limits.withDefaults(), skipOdd: opts.SkipOdd}
	if err := p.walk(ctx); err != nil {
		return Packed{}, fmt.Errorf("pack folder: %w", err)
	}
	if err := p.putFiles(ctx); err != nil {
		return Packed{}, fmt.Errorf("pack folder: %w", err)
	}
	if err := p.putManifest(ctx); err != nil {
		return Packed{}, fmt.Errorf("pack folder: %w", err)
	}
	return p.packed, nil
}

type packer struct {
	root    *os.Root
	sink    Sink
	limits  Limits
	skipOdd bool
	entries []*marketv1.Entry
	packed  Packed
}

// putFiles reads every file once for its digest, and once more when the sink
// lacks it. A file that changed in between fails there, by its digest.
func (p *packer) putFiles(ctx context.Context) error {
	kept := p.entries[:0]
	for _, e := range p.entries {
		if e.GetDirectory() || e.GetLinkTarget() != "" {
			kept = append(kept, e)
			continue
		}
		err := p.putFile(ctx, e)
		switch {
		case err == nil:
			kept = append(kept, e)
		case p.skipOdd && (errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrChanged)):
			p.skip(e.GetPath())
		default:
			return err
		}
	}
	p.entries = kept
	return nil
}

func (p *packer) putFile(ctx context.Context, e *marketv1.Entry) error {
	digest, size, err := p.hash(ctx, e.GetPath())
	if err != nil {
		return err
	}
	e.Digest, e.SizeBytes = digest, uint64(size)
	if p.packed.Bytes += e.SizeBytes; p.packed.Bytes > p.limits.Bytes {
		return fmt.Errorf("%w: more than %d bytes", ErrTooMuch, p.limits.Bytes)
	}
	if p.sink.Has(digest) {
		return nil
	}
	return p.sink.Put(ctx, digest, size, func() (io.ReadCloser, error) { return p.open(e.GetPath()) })
}

func (p *packer) hash(ctx context.Context, path string) (string, int64, error) {
	f, err := p.open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	// One byte too many is enough to know; a sparse or growing file is not read to its end.
	left := int64(p.limits.Bytes-p.packed.Bytes) + 1
	sum := sha256.New()
	buf := make([]byte, 128<<10)
	var size int64
	for size < left {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		n, err := f.Read(buf)
		sum.Write(buf[:n])
		size += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", 0, fmt.Errorf("read %q: %w", path, err)
		}
	}
	return blob.FromSum(sum.Sum(nil)), size, nil
}

// open opens a regular file. Between looking and opening it may have become a
// pipe, which must not block us, or a link, which must not lead us on.
func (p *packer) open(path string) (*os.File, error) {
	before, err := p.root.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %q", ErrChanged, path)
	}
	f, err := p.root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%w: %q", ErrChanged, path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (p *packer) putManifest(ctx context.Context) error {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&marketv1.Manifest{Entries: p.entries})
	if err != nil {
		return fmt.Errorf("marshal manifest: %w", err)
	}
	if len(b) > MaxManifest {
		return fmt.Errorf("%w: manifest of %d bytes, at most %d", ErrTooMuch, len(b), MaxManifest)
	}
	p.packed.Manifest = blob.Digest(b)
	p.packed.Entries = len(p.entries)
	if p.sink.Has(p.packed.Manifest) {
		return nil
	}
	return p.sink.Put(ctx, p.packed.Manifest, int64(len(b)), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	})
}

func (p *packer) skip(path string) {
	p.packed.Left++
	if len(p.packed.Skipped) < maxListed {
		p.packed.Skipped = append(p.packed.Skipped, path)
	}
}
