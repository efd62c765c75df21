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

// fetch makes one blob be here for whoever the image is for. Without a source it only looks.
func (p *pull) fetch(ctx context.Context, d ocispec.Descriptor) error {
	before := p.done
	here, err := p.kept(ctx, d)
	if err == nil && !here {
		err = p.bring(ctx, d)
	}
	if err != nil {
		return err
	}
	p.done = before + d.Size
	p.progress(p.done, max(p.total, p.done))
	return nil
}

// bring takes one blob from the source, going on where an earlier attempt stopped. Also one that
// others have here, all of it: a sample is as good as a guess where most of a layer is everybody's.
func (p *pull) bring(ctx context.Context, d ocispec.Descriptor) error {
	if p.src == nil {
		return fmt.Errorf("blob %s: %w", d.Digest, errdefs.ErrNotFound)
	}
	defer p.r.blobs.lock(d.Digest.String())()
	if here, err := p.kept(ctx, d); here || err != nil {
		return err // it came meanwhile
	}
	ref := p.fetchRef(d)
	// Not content.OpenWriter: it retries for ever when the daemon is gone. Without the digest, or containerd
	// says that the blob is there, also where another program's images have it.
	w, err := p.c.ContentStore().Writer(ctx, content.WithRef(ref), content.WithDescriptor(ocispec.Descriptor{Size: d.Size}))
	if err != nil {
		return err
	}
	err = p.fill(ctx, w, d)
	err = errors.Join(err, ignoreClosed(w.Close()))
	if errors.Is(err, runtime.ErrImage) { // never resume what is wrong already
		_ = p.c.ContentStore().Abort(ctx, ref)
	}
	return err
}

// fetchRef names the part of a blob that is here until all of it is. Nobody goes on with what
// another began: of a part no digest says that they have it.
func (p *pull) fetchRef(d ocispec.Descriptor) string {
	return "rigmesh-" + d.Digest.String() + "-" + p.image.For
}

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
	// Not left to Commit: where the blob is here already, containerd does not look at what it was given.
	if _, err := w.Status(); err != nil { // asks for the digest
		return err
	}
	if got := w.Digest(); got != d.Digest {
		return unusable("blob %s: what came is %s", d.Digest, got)
	}
	err = w.Commit(ctx, d.Size, d.Digest, content.WithLabels(granted(nil, p.image.For, p.public(d))))
	if errdefs.IsAlreadyExists(err) { // others have it here
		err = p.grant(ctx, d)
	}
	if errdefs.IsFailedPrecondition(err) || errdefs.IsInvalidArgument(err) {
		return unusable("blob %s: %v", d.Digest, err)
	}
	p.private = p.private || !p.public(d)
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

// have is how many bytes of a blob are here for whoever the image is for.
func (p *pull) have(ctx context.Context, d ocispec.Descriptor) int64 {
	if info, err := p.c.ContentStore().Info(ctx, d.Digest); err == nil && mayHave(info.Labels, p.image.For) {
		return d.Size
	}
	status, err := p.c.ContentStore().Status(ctx, p.fetchRef(d))
	if err != nil {
		return 0
	}
	return status.Offset
}

// Held says how many bytes of an image are here for whoever it is for and how many there are in
// all. The total is zero while its manifest is not here for them.
func (r *Runtime) Held(ctx context.Context, image runtime.Image) (held, total int64) {
	_ = r.do(ctx, func(ctx context.Context, c *client.Client) error {
		held, total = 0, 0
		p := &pull{r: r, c: c, image: image, progress: func(int64, int64) {}}
		desc, err := p.found(ctx)
		if err != nil {
			return err
		}
		var manifest ocispec.Manifest
		if err := p.fetchJSON(ctx, desc, &manifest); err != nil {
			return err
		}
		for _, d := range append([]ocispec.Descriptor{desc, manifest.Config}, manifest.Layers...) {
			total += d.Size
			held += p.have(ctx, d)
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
	if !mayHave(info.Labels, p.image.For) {
		return ocispec.Descriptor{}, notHere(p.image)
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

// found is the manifest of an image that is here, in whole or in part.
func (p *pull) found(ctx context.Context) (ocispec.Descriptor, error) {
	if img, err := pulled(ctx, p.c, p.image); err == nil {
		return img.Target(), nil
	}
	root, err := p.known(ctx)
	if err != nil {
		return root, err
	}
	if p.matcher, err = matcherOf(p.image); err != nil {
		return root, err
	}
	return p.manifest(ctx, root)
}
