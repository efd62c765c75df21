//go:build linux

package containerd

import (
	"context"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
)

// Labels of blobs and images that say for whom they are here. They go with what they are on.
const (
	// publicLabel is on what came from where anybody gets it.
	publicLabel = "rigmesh.public"
	// holderLabel begins the name of one label for each of those who gave all of it themselves.
	holderLabel = "rigmesh.holder/"
	// maxHolders bounds these. Whoever is dropped has to give it once more.
	maxHolders = 64
)

// mayHave says whether what has these labels is here for somebody.
func mayHave(labels map[string]string, who string) bool {
	return labels[publicLabel] != "" || labels[holderLabel+who] != ""
}

// granted is what has to change in the labels of something that is here from now on for
// somebody more or, when it is public, for everybody. Empty values take labels away.
func granted(has map[string]string, who string, public bool) map[string]string {
	if public {
		return map[string]string{publicLabel: "true"}
	}
	changes := map[string]string{holderLabel + who: "true"}
	holders := 1
	for name := range has {
		if !strings.HasPrefix(name, holderLabel) || name == holderLabel+who {
			continue
		}
		if holders++; holders > maxHolders {
			changes[name] = ""
		}
	}
	return changes
}

// labelPaths is what an update of labels is to change.
func labelPaths(changes map[string]string) (paths []string) {
	for name := range changes {
		paths = append(paths, "labels."+name)
	}
	return paths
}

// public says whether anybody gets a blob where it came from just now.
func (p *pull) public(d ocispec.Descriptor) bool {
	src, ok := p.src.(runtime.PublicSource)
	return ok && src.Public(d.Digest.String())
}

// kept says whether a blob is here for whoever the image is for. A pull's gc lease keeps it then.
func (p *pull) kept(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	here, err := p.here(ctx, d)
	if !here || err != nil || p.src == nil {
		return here, err
	}
	if err := p.keep(ctx, d); err != nil {
		return false, err
	}
	return p.here(ctx, d) // it may have been collected before it was kept
}

func (p *pull) here(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	info, err := p.c.ContentStore().Info(ctx, d.Digest)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil || !mayHave(info.Labels, p.image.For) {
		return false, err
	}
	p.private = p.private || info.Labels[publicLabel] == ""
	return true, nil
}

// keep puts a blob into the gc lease of the pull.
func (p *pull) keep(ctx context.Context, d ocispec.Descriptor) error {
	lease := leases.Lease{ID: leaseID(p.image)}
	return p.c.LeasesService().AddResource(ctx, lease, leases.Resource{ID: d.Digest.String(), Type: "content"})
}

// grant notes that whoever the image is for gave a blob that others have here, and keeps it.
func (p *pull) grant(ctx context.Context, d ocispec.Descriptor) error {
	if err := p.keep(ctx, d); err != nil {
		return err
	}
	info, err := p.c.ContentStore().Info(ctx, d.Digest)
	if err != nil {
		return err
	}
	changes := granted(info.Labels, p.image.For, p.public(d))
	_, err = p.c.ContentStore().Update(ctx, content.Info{Digest: d.Digest, Labels: changes}, labelPaths(changes)...)
	return err
}

// grantImage is grant for an image of which everything is here for them.
func (p *pull) grantImage(ctx context.Context, img images.Image) error {
	changes := granted(img.Labels, p.image.For, !p.private)
	_, err := p.c.ImageService().Update(ctx, images.Image{Name: img.Name, Labels: changes}, labelPaths(changes)...)
	return err
}

// sameLayers holds the layers against what the image's config says they unpack to. One that is
// unpacked already containerd takes the config's word for: naming another's layers there would
// be as good as having them.
func (p *pull) sameLayers(ctx context.Context, img images.Image) error {
	store := p.c.ContentStore()
	manifest, err := images.Manifest(ctx, store, img.Target, p.matcher)
	if err != nil {
		return err
	}
	unpacked, err := images.RootFS(ctx, store, manifest.Config)
	if err != nil {
		return err
	}
	for i, layer := range manifest.Layers {
		if err := p.unpacksTo(ctx, layer, unpacked[i]); err != nil {
			return err
		}
	}
	return nil
}

// unpacksTo reads a layer that was not unpacked here, or only as another blob.
func (p *pull) unpacksTo(ctx context.Context, layer ocispec.Descriptor, want digest.Digest) error {
	got, err := images.GetDiffID(ctx, p.c.ContentStore(), layer)
	if err == nil && got != want {
		err = unusable("layer %s unpacks to %s, the image says to %s", layer.Digest, got, want)
	}
	return err
}
