// Package ociregistry reads an image from a registry, as docker names it and with the
// credentials docker has: without a daemon, without a file, on any operating system.
// Open resolves the name to digests; layers are read from the registry when they are asked for.
package ociregistry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/oci"
)

// Image is one image of a registry. Close it. Safe for concurrent use.
type Image struct {
	c         *client
	contents  oci.Contents
	documents map[string][]byte // index, manifest and config by digest
}

// Open resolves a reference ("alpine:3.20", "ghcr.io/o/p@sha256:…") for a platform
// ("linux/amd64"; empty: that). It reads index, manifest and config, but no layer.
// ErrReference, ErrNotFound, ErrUnreachable, ErrSchema1, ErrDigest, oci.ErrPlatform, and a DeniedError.
func Open(ctx context.Context, name, platform string) (*Image, error) {
	if platform == "" {
		platform = "linux/amd64"
	}
	r, err := parse(name)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, r)
	if err != nil {
		return nil, err
	}
	i := &Image{c: c, documents: make(map[string][]byte)}
	if err := i.resolve(ctx, r, platform); err != nil {
		c.close()
		return nil, err
	}
	return i, nil
}

func (i *Image) resolve(ctx context.Context, r ref, platform string) error {
	root, content, err := i.c.root(ctx, r)
	if err != nil {
		return err
	}
	i.documents[root.Digest.String()] = content
	i.contents, err = oci.Choose([]ocispec.Descriptor{root}, platform, func(d ocispec.Descriptor) ([]byte, error) {
		if b, ok := i.documents[d.Digest.String()]; ok {
			return b, nil
		}
		b, err := i.c.document(ctx, d)
		if err == nil {
			i.documents[d.Digest.String()] = b
		}
		return b, err
	})
	return err
}

// Image names the image: the index that the reference leads to, or the manifest where
// there is no index.
func (i *Image) Image() runtime.Image { return i.contents.Image }

// Public says whether the registry gives the image to everybody, as far as can be seen from
// here: it asked for no credentials and is not this machine.
func (i *Image) Public() bool { return i.c.anonymous && !isLoopback(i.c.ref.host) }

// Blobs are all blobs that the image needs on its platform, from the index down.
func (i *Image) Blobs() []oci.Blob { return slices.Clone(i.contents.Blobs) }

// TotalBytes is the size of all Blobs together.
func (i *Image) TotalBytes() int64 { return i.contents.TotalBytes() }

// Layers is how many layers the image has.
func (i *Image) Layers() int { return i.contents.Layers }

// Blob reads a blob from an offset on; with it an Image is a runtime.BlobSource. A
// download that is cut goes on where it stopped. What is read from the beginning ends in
// ErrDigest instead of io.EOF when it is not what the digest says.
func (i *Image) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	at := slices.IndexFunc(i.contents.Blobs, func(b oci.Blob) bool { return b.Digest == digest })
	if at < 0 {
		return nil, fmt.Errorf("blob %s is not of this image", digest)
	}
	size := i.contents.Blobs[at].Size
	if offset < 0 || offset > size {
		return nil, fmt.Errorf("blob %s has %d bytes, not %d", digest, size, offset)
	}
	if b, ok := i.documents[digest]; ok {
		return io.NopCloser(bytes.NewReader(b[offset:])), nil
	}
	return i.c.blob(ctx, digest, offset, size), nil
}

// Close drops the connections that are not in use.
func (i *Image) Close() error {
	i.c.close()
	return nil
}
