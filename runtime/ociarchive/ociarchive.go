// Package ociarchive reads an image from an OCI archive (what `docker buildx build
// -o type=oci`, `skopeo copy` and `podman save --format oci-archive` write), in
// place: without a daemon, without unpacking it, on any operating system.
package ociarchive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/oci"
)

// ErrFormat: the file is no OCI archive.
var ErrFormat = errors.New("not an OCI archive")

// Archive is one image in an archive. Close it. Safe for concurrent use.
type Archive struct {
	file     *os.File
	at       map[string]section // by digest
	contents oci.Contents
}

// section is where in the file a blob lies.
type section struct{ offset, size int64 }

// Open reads what an archive holds for a platform ("linux/amd64"; empty: that). It reads
// the whole table of contents, but no layer. ErrFormat, oci.ErrPlatform.
func Open(ctx context.Context, name, platform string) (*Archive, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	a := &Archive{file: f, at: make(map[string]section)}
	if err := a.open(ctx, platform); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("image archive %s: %w", name, err)
	}
	return a, nil
}

func (a *Archive) open(ctx context.Context, platform string) error {
	if platform == "" {
		platform = "linux/amd64"
	}
	rest, err := a.scan(ctx)
	if err != nil {
		return err
	}
	var index ocispec.Index
	if err := json.Unmarshal(rest.index, &index); err != nil {
		return fmt.Errorf("%w: index.json: %v", ErrFormat, err)
	}
	if a.contents, err = oci.Choose(index.Manifests, platform, a.document); err != nil {
		return err
	}
	return a.complete()
}

// complete says whether every blob of the image is there.
func (a *Archive) complete() error {
	for _, b := range a.contents.Blobs {
		s, ok := a.at[b.Digest]
		if !ok {
			return fmt.Errorf("blob %s is not in the archive", b.Digest)
		}
		if s.size != b.Size {
			return fmt.Errorf("blob %s has %d bytes, not %d", b.Digest, s.size, b.Size)
		}
	}
	return nil
}

// contents is what scan finds beside blobs.
type contents struct {
	index      []byte
	dockerSave bool
}

// scan notes where every blob lies.
func (a *Archive) scan(ctx context.Context) (contents, error) {
	var found contents
	if err := a.refusePacked(); err != nil {
		return found, err
	}
	in := tar.NewReader(a.file) // it seeks over what is not read
	for ctx.Err() == nil {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return found, fmt.Errorf("%w: %v", ErrFormat, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		switch name := strings.TrimPrefix(path.Clean("/"+h.Name), "/"); {
		case name == ocispec.ImageIndexFile:
			if found.index, err = io.ReadAll(io.LimitReader(in, oci.MaxDocument)); err != nil {
				return found, err
			}
		case name == "manifest.json" || name == "repositories":
			found.dockerSave = true
		case strings.HasPrefix(name, "blobs/"):
			offset, err := a.file.Seek(0, io.SeekCurrent)
			if err != nil {
				return found, err
			}
			algorithm, hex, _ := strings.Cut(strings.TrimPrefix(name, "blobs/"), "/")
			a.at[algorithm+":"+hex] = section{offset, h.Size}
		}
	}
	switch {
	case ctx.Err() != nil:
		return found, ctx.Err()
	case found.index == nil && found.dockerSave:
		return found, fmt.Errorf("%w: this is what older `docker save` writes; use `docker buildx build -o type=oci,dest=FILE` or `skopeo copy docker-archive:FILE oci-archive:FILE`", ErrFormat)
	case found.index == nil:
		return found, fmt.Errorf("%w: no index.json in it", ErrFormat)
	}
	return found, nil
}

// refusePacked names the common mistake of a compressed archive: its blobs have no place
// that one could read from.
func (a *Archive) refusePacked() error {
	var magic [4]byte
	n, err := io.ReadFull(a.file, magic[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %v", ErrFormat, err)
	}
	switch head := string(magic[:n]); {
	case strings.HasPrefix(head, "\x1f\x8b"):
		return fmt.Errorf("%w: it is compressed with gzip; decompress it first (gunzip)", ErrFormat)
	case head == "\x28\xb5\x2f\xfd":
		return fmt.Errorf("%w: it is compressed with zstd; decompress it first (unzstd)", ErrFormat)
	}
	_, err = a.file.Seek(0, io.SeekStart)
	return err
}

// Image names the image: its own index when the archive's index points to one, else
// its manifest.
func (a *Archive) Image() runtime.Image { return a.contents.Image }

// Blobs are all blobs that the image needs on its platform, from the index down.
func (a *Archive) Blobs() []oci.Blob { return slices.Clone(a.contents.Blobs) }

// Layers is how many layers the image has.
func (a *Archive) Layers() int { return a.contents.Layers }

// TotalBytes is the size of all Blobs together.
func (a *Archive) TotalBytes() int64 { return a.contents.TotalBytes() }

// Open reads a blob. Its content is as the archive has it: whoever stores it checks it.
func (a *Archive) Open(digest string) (io.ReadCloser, error) {
	return a.Blob(context.Background(), digest, 0)
}

// Blob reads a blob from an offset on; with it an Archive is a runtime.BlobSource.
func (a *Archive) Blob(_ context.Context, digest string, offset int64) (io.ReadCloser, error) {
	s, ok := a.at[digest]
	if !ok {
		return nil, fmt.Errorf("blob %s is not in the archive", digest)
	}
	if offset < 0 || offset > s.size {
		return nil, fmt.Errorf("blob %s has %d bytes, not %d", digest, s.size, offset)
	}
	return io.NopCloser(io.NewSectionReader(a.file, s.offset+offset, s.size-offset)), nil
}

// Close closes the file; readers that are open fail from then on.
func (a *Archive) Close() error { return a.file.Close() }

// document reads a small blob, which oci.Choose checks.
func (a *Archive) document(d ocispec.Descriptor) ([]byte, error) {
	s, ok := a.at[d.Digest.String()]
	if !ok {
		return nil, fmt.Errorf("blob %s is not in the archive", d.Digest)
	}
	if s.size != d.Size {
		return nil, fmt.Errorf("blob %s has %d bytes, not %d", d.Digest, s.size, d.Size)
	}
	b := make([]byte, s.size)
	if _, err := a.file.ReadAt(b, s.offset); err != nil {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return b, nil
}
