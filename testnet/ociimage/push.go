package ociimage

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// PushBusybox puts Busybox's image into a registry under a name such as
// "localhost:5000/busybox:1". With platforms, it is an index with one image for each.
// Their files are those of this host. Docker's credentials are used where the registry
// wants some.
func PushBusybox(ctx context.Context, ref string, o Options, platforms ...string) error {
	to, err := name.ParseReference(ref)
	if err != nil {
		return err
	}
	err = busybox("", func(root string) error {
		if len(platforms) == 0 {
			img, err := image(o, []Layer{Tree(root, o.Owner)})
			if err != nil {
				return err
			}
			return remote.Write(to, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
		}
		index, err := indexOf(root, o, platforms)
		if err != nil {
			return err
		}
		return remote.WriteIndex(to, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	})
	if err != nil {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	return nil
}

func indexOf(root string, o Options, platforms []string) (v1.ImageIndex, error) {
	indexType := types.OCIImageIndex
	if o.Docker {
		indexType = types.DockerManifestList
	}
	index := mutate.IndexMediaType(empty.Index, indexType)
	for _, o.Platform = range platforms {
		img, err := image(o, []Layer{Tree(root, o.Owner)})
		if err != nil {
			return nil, err
		}
		p, err := v1.ParsePlatform(o.Platform)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: p}})
	}
	return index, nil
}
