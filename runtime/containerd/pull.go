//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
)

// Bounds on what an image may make us fetch or parse.
const (
	maxManifestBytes = 4 << 20 // index, manifest or config
	pullLease        = 24 * time.Hour
)

// Pull makes an image ready to run for whoever it is for, taking from src the blobs that are not here for them.
func (r *Runtime) Pull(ctx context.Context, image runtime.Image, src runtime.BlobSource, progress runtime.Progress) error {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	defer r.blobs.share(pullLock(image))()
	// One at a time for an image and somebody: whoever comes second finds it unpacked. Nobody waits
	// for a stranger's source that gives a byte a minute.
	defer r.blobs.lock(leaseID(image))()
	err := r.do(ctx, func(ctx context.Context, c *client.Client) error {
		p := &pull{r: r, c: c, src: src, image: image, progress: progress}
		return p.run(ctx)
	})
	if err != nil {
		return fmt.Errorf("pull %s: %w", image.Digest, r.orNoSpace(err))
	}
	return nil
}

// pullLock is shared by all who pull an image, and held alone by whoever forgets it.
func pullLock(i runtime.Image) string { return "pull " + imageName(i) }

// pull is one Pull with one client.
type pull struct {
	r           *Runtime
	c           *client.Client
	src         runtime.BlobSource
	image       runtime.Image
	matcher     platforms.MatchComparer
	progress    runtime.Progress
	done, total int64
	private     bool // it has a blob that not everybody gets
}

func (p *pull) run(ctx context.Context) error {
	var err error
	if p.matcher, err = matcherOf(p.image); err != nil {
		return err
	}
	if img, err := pulled(ctx, p.c, p.image); err == nil {
		if ready, err := img.IsUnpacked(ctx, snapshotter); err != nil || ready {
			return errors.Join(err, touch(ctx, p.c, img.Metadata()))
		}
	} else if !errors.Is(err, runtime.ErrImage) {
		return err
	}
	ctx, err = p.lease(ctx)
	if err != nil {
		return err
	}
	root, err := p.root()
	if err != nil {
		return err
	}
	manifest, err := p.manifest(ctx, root)
	if err != nil {
		return err
	}
	if err := p.blobs(ctx, manifest); err != nil {
		return err
	}
	if err := p.unpack(ctx, manifest); err != nil {
		return err
	}
	return p.c.LeasesService().Delete(ctx, leases.Lease{ID: leaseID(p.image)})
}

// leaseID names the gc lease of an image's pull.
func leaseID(i runtime.Image) string { return "pull " + imageName(i) + " for " + i.For }

// lease keeps containerd from collecting what is here already. It outlives a pull that
// is cut off, so that the next one goes on where this one stopped.
func (p *pull) lease(ctx context.Context) (context.Context, error) {
	_, err := p.c.LeasesService().Create(ctx, leases.WithID(leaseID(p.image)), leases.WithExpiration(pullLease))
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return nil, err
	}
	return leases.WithLease(ctx, leaseID(p.image)), nil
}

func (p *pull) root() (ocispec.Descriptor, error) {
	d, err := digest.Parse(p.image.Digest)
	if err != nil {
		return ocispec.Descriptor{}, unusable("digest %q: %v", p.image.Digest, err)
	}
	root := ocispec.Descriptor{MediaType: p.image.MediaType, Digest: d, Size: p.image.Size}
	return root, checkSize(root, maxManifestBytes)
}

func unusable(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{runtime.ErrImage}, args...)...)
}

func checkSize(d ocispec.Descriptor, most int64) error {
	if d.Size <= 0 || d.Size > most {
		return unusable("blob %s of %d bytes, %d are allowed", d.Digest, d.Size, most)
	}
	if err := d.Digest.Validate(); err != nil {
		return unusable("digest %q: %v", d.Digest, err)
	}
	return nil
}

// manifest walks from the root to the manifest of our platform.
func (p *pull) manifest(ctx context.Context, root ocispec.Descriptor) (ocispec.Descriptor, error) {
	if images.IsManifestType(root.MediaType) {
		return root, nil
	}
	if !images.IsIndexType(root.MediaType) {
		return root, unusable("%q is no image", root.MediaType)
	}
	var index ocispec.Index
	if err := p.fetchJSON(ctx, root, &index); err != nil {
		return root, err
	}
	best := -1
	for i, m := range index.Manifests {
		if m.Platform == nil && len(index.Manifests) == 1 && images.IsManifestType(m.MediaType) {
			best = i
		}
		if m.Platform == nil || !images.IsManifestType(m.MediaType) || !p.matcher.Match(*m.Platform) {
			continue
		}
		if best < 0 || p.matcher.Less(*m.Platform, *index.Manifests[best].Platform) {
			best = i
		}
	}
	if best < 0 {
		return root, fmt.Errorf("%w: nothing for %s", runtime.ErrPlatform, platformOf(p.image))
	}
	return index.Manifests[best], checkSize(index.Manifests[best], maxManifestBytes)
}

// blobs fetches what a manifest names: the config and the layers.
func (p *pull) blobs(ctx context.Context, desc ocispec.Descriptor) error {
	var manifest ocispec.Manifest
	if err := p.fetchJSON(ctx, desc, &manifest); err != nil {
		return err
	}
	if most := p.r.cfg.MaxLayers; len(manifest.Layers) > most {
		return unusable("%d layers, %d are allowed", len(manifest.Layers), most)
	}
	if err := checkSize(manifest.Config, maxManifestBytes); err != nil {
		return err
	}
	p.total = desc.Size + manifest.Config.Size
	for _, l := range manifest.Layers {
		if !images.IsLayerType(l.MediaType) || images.IsNonDistributable(l.MediaType) {
			return unusable("layer of type %q", l.MediaType)
		}
		if err := checkSize(l, p.r.cfg.MaxImageBytes); err != nil {
			return err
		}
		if p.total += l.Size; p.total > p.r.cfg.MaxImageBytes {
			return unusable("over %d bytes in all", p.r.cfg.MaxImageBytes)
		}
	}
	p.done = desc.Size
	p.progress(p.done, p.total)
	if err := p.r.cfg.MakeRoom(ctx, p.missing(ctx, manifest)); err != nil {
		return err
	}
	if err := p.roomFor(p.total); err != nil {
		return err
	}
	for _, d := range append([]ocispec.Descriptor{manifest.Config}, manifest.Layers...) {
		if err := p.fetch(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// missing is how many bytes of the config and the layers have to come.
func (p *pull) missing(ctx context.Context, m ocispec.Manifest) (n int64) {
	for _, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		n += d.Size - p.have(ctx, d)
	}
	return n
}

// roomFor refuses at once what cannot fit. What a layer unpacks to is not known here.
func (p *pull) roomFor(n int64) error {
	room, err := runtime.RoomUnder(p.r.cfg.DataDir)
	if err == nil && room.Bytes < n {
		err = fmt.Errorf("%w: %d bytes for an image of %d", runtime.ErrNoSpace, room.Bytes, n)
	}
	return err
}

// unpack names the image, which keeps its blobs from then on, and makes snapshots of
// its layers.
func (p *pull) unpack(ctx context.Context, manifest ocispec.Descriptor) error {
	store := p.c.ContentStore()
	if err := images.Walk(ctx, images.SetChildrenLabels(store, images.ChildrenHandler(store)), manifest); err != nil {
		return err
	}
	keepRoot := map[string]string{rootLabel: p.image.Digest} // or the index would go: others may ask us for it
	img, err := p.c.ImageService().Create(ctx, images.Image{Name: imageName(p.image), Target: manifest, Labels: keepRoot})
	if errdefs.IsAlreadyExists(err) {
		img, err = p.c.ImageService().Get(ctx, imageName(p.image))
	}
	if err != nil {
		return err
	}
	// Synced before containerd counts a layer as unpacked: a power cut would leave it with empty files, and for good.
	synced := client.WithUnpackApplyOpts(diff.WithSyncFs(true))
	err = client.NewImageWithPlatform(p.c, img, p.matcher).Unpack(ctx, snapshotter, synced)
	if err == nil {
		err = p.sameLayers(ctx, img)
	}
	if err == nil {
		return p.grantImage(ctx, img)
	}
	if ctx.Err() != nil || lost(ctx, err) {
		return err
	}
	if err := p.r.orNoSpace(err); errors.Is(err, runtime.ErrNoSpace) {
		return err
	}
	_ = p.c.ImageService().Delete(ctx, img.Name)        // or Start would take it for usable
	return fmt.Errorf("%w: %v", runtime.ErrUnpack, err) // every blob is what it should be: the image is broken
}
