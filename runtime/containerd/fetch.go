//go:build linux

package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
)

func (p *pull) fetchJSON(ctx context.Context, d ocispec.Descriptor, v any) error {
	if err := p.fetch(ctx, d); err != nil {
		return err
	}
	b, err := content.ReadBlob(ctx, p.c.ContentStore(), d)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return unusable("blob %s: %v", d.Digest, err)
	}
	return nil
}

// fetch makes one blob be here, going on where an earlier attempt stopped. Without a
// source it only looks.
func (p *pull) fetch(ctx context.Context, d ocispec.Descriptor) error {
	if p.src == nil {
		_, err := p.c.ContentStore().Info(ctx, d.Digest)
		return err
	}
	defer p.r.blobs.lock(d.Digest.String())()
	before := p.done
	ref := fetchRef(d)
	// Not content.OpenWriter: it retries for ever when the daemon is gone.
	w, err := p.c.ContentStore().Writer(ctx, content.WithRef(ref), content.WithDescriptor(d))
	if err == nil {
		err = p.fill(ctx, w, d)
		err = errors.Join(err, ignoreClosed(w.Close()))
		if errors.Is(err, runtime.ErrImage) { // never resume what is wrong already
			_ = p.c.ContentStore().Abort(ctx, ref)
		}
	}
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return err
	}
	p.done = before + d.Size
	p.progress(p.done, max(p.total, p.done))
	return nil
}

// fetchRef names the part of a blob that is here until all of it is.
func fetchRef(d ocispec.Descriptor) string { return "rigmesh-" + d.Digest.String() }

func ignoreClosed(err error) error {
	if errors.Is(err, io.EOF) || errdefs.IsCanceled(err) {
		return nil
	}
	return err
}

func (p *pull) fill(ctx context.Context, w content.Writer, d ocispec.Descriptor) error {
	status, err := w.Status()
	if err != nil {
		return err
	}
	p.done += status.Offset
	if status.Offset < d.Size {
		if err := p.copy(ctx, w, d, status.Offset); err != nil {
			return err
		}
	}
	err = w.Commit(ctx, d.Size, d.Digest)
	if errdefs.IsFailedPrecondition(err) || errdefs.IsInvalidArgument(err) {
		return unusable("blob %s: %v", d.Digest, err)
	}
	return err
}

func (p *pull) copy(ctx context.Context, w io.Writer, d ocispec.Descriptor, offset int64) error {
	in, err := p.open(ctx, d, offset)
	if err != nil {
		return fmt.Errorf("blob %s from %d on: %w", d.Digest, offset, err)
	}
	defer in.Close()
	want := d.Size - offset
	n, err := io.CopyBuffer(countTo{w, p}, io.LimitReader(in, want), make([]byte, 1<<20))
	if err != nil {
		return fmt.Errorf("blob %s at %d: %w", d.Digest, offset+n, err)
	}
	if n < want {
		return fmt.Errorf("blob %s at %d of %d: %w", d.Digest, offset+n, d.Size, io.ErrUnexpectedEOF)
	}
	return nil
}

func (p *pull) open(ctx context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	if src, ok := p.src.(runtime.LayerSource); ok && images.IsLayerType(d.MediaType) {
		return src.Layer(ctx, d.Digest.String(), d.Size, offset)
	}
	return p.src.Blob(ctx, d.Digest.String(), offset)
}

// countTo reports progress of what is written.
type countTo struct {
	io.Writer
	p *pull
}

func (c countTo) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.p.done += int64(n)
	c.p.progress(c.p.done, max(c.p.total, c.p.done))
	return n, err
}

// have is how many bytes of a blob are here.
func have(ctx context.Context, c *client.Client, d ocispec.Descriptor) int64 {
	if _, err := c.ContentStore().Info(ctx, d.Digest); err == nil {
		return d.Size
	}
	status, err := c.ContentStore().Status(ctx, fetchRef(d))
	if err != nil {
		return 0
	}
	return status.Offset
}

// Held says how many bytes of an image are here and how many there are in all. The
// total is zero while its manifest is not here.
func (r *Runtime) Held(ctx context.Context, image runtime.Image) (held, total int64) {
	_ = r.do(ctx, func(ctx context.Context, c *client.Client) error {
		held, total = 0, 0
		desc, err := r.manifestOf(ctx, c, image)
		if err != nil {
			return err
		}
		b, err := content.ReadBlob(ctx, c.ContentStore(), desc)
		if err != nil {
			return err
		}
		var manifest ocispec.Manifest
		if err := json.Unmarshal(b, &manifest); err != nil {
			return err
		}
		for _, d := range append([]ocispec.Descriptor{desc, manifest.Config}, manifest.Layers...) {
			total += d.Size
			held += have(ctx, c, d)
		}
		return nil
	})
	return held, total
}

// known is the root of an image that is here, of which the caller may know the digest alone.
func (p *pull) known(ctx context.Context) (ocispec.Descriptor, error) {
	d, err := digest.Parse(p.image.Digest)
	if err != nil {
		return ocispec.Descriptor{}, unusable("digest %q: %v", p.image.Digest, err)
	}
	info, err := p.c.ContentStore().Info(ctx, d)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	p.image.Size = info.Size
	root, err := p.root() // which bounds it
	if err != nil {
		return root, err
	}
	b, err := content.ReadBlob(ctx, p.c.ContentStore(), root)
	if err != nil {
		return root, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(b, &index); err != nil {
		return root, unusable("blob %s: %v", d, err)
	}
	root.MediaType = ocispec.MediaTypeImageManifest
	if len(index.Manifests) > 0 {
		root.MediaType = ocispec.MediaTypeImageIndex
	}
	return root, nil
}

// manifestOf finds the manifest of an image that is here, in whole or in part.
func (r *Runtime) manifestOf(ctx context.Context, c *client.Client, image runtime.Image) (ocispec.Descriptor, error) {
	if img, err := pulled(ctx, c, image); err == nil {
		return img.Target(), nil
	}
	p := &pull{r: r, c: c, image: image}
	root, err := p.known(ctx)
	if err != nil {
		return root, err
	}
	if p.matcher, err = matcherOf(image); err != nil {
		return root, err
	}
	return p.manifest(ctx, root)
}
