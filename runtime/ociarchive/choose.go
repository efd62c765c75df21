package ociarchive

import (
	"errors"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
)

// maxDepth bounds how indexes may nest. Two levels are in use: the archive's own and a
// multi-platform image's.
const maxDepth = 4

// choose picks the image for a platform and lists its blobs.
func (a *Archive) choose(index ocispec.Index, platform string) error {
	path, err := a.find(index, platform, nil)
	if err != nil {
		return err
	}
	if path == nil {
		return fmt.Errorf("%w %s: the archive has %s", ErrPlatform, platform, strings.Join(a.platforms(index, 0), ", "))
	}
	root, manifest := path[0], path[len(path)-1]
	a.image = runtime.Image{Digest: root.Digest.String(), MediaType: root.MediaType, Size: root.Size, Platform: platform}
	for _, d := range path {
		a.add(d)
	}
	return a.addParts(manifest)
}

// find walks down to the manifest of a platform and gives the way there.
func (a *Archive) find(index ocispec.Index, platform string, above []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	if len(above) >= maxDepth {
		return nil, errors.New("indexes nest too deeply")
	}
	for _, d := range index.Manifests {
		path := append(above[:len(above):len(above)], d)
		if isIndex(d.MediaType) {
			var inner ocispec.Index
			if err := a.document(d, &inner); err != nil {
				return nil, err
			}
			if found, err := a.find(inner, platform, path); found != nil || err != nil {
				return found, err
			}
			continue
		}
		has, err := a.platformOf(d)
		if err != nil {
			return nil, err
		}
		if isManifest(d.MediaType) && has == platform {
			return path, nil
		}
	}
	return nil, nil
}

// platformOf is what a descriptor says, or the image's config where it says nothing.
func (a *Archive) platformOf(d ocispec.Descriptor) (string, error) {
	if !isManifest(d.MediaType) {
		return "", nil
	}
	if d.Platform != nil {
		return name(*d.Platform), nil
	}
	var manifest ocispec.Manifest
	var config ocispec.Image
	if err := a.document(d, &manifest); err != nil {
		return "", err
	}
	if err := a.document(manifest.Config, &config); err != nil {
		return "", err
	}
	return name(config.Platform), nil
}

// name writes a platform as runtime.Image does. arm64's only variant goes without saying.
func name(p ocispec.Platform) string {
	if p.Variant == "" || (p.Architecture == "arm64" && p.Variant == "v8") {
		return p.OS + "/" + p.Architecture
	}
	return p.OS + "/" + p.Architecture + "/" + p.Variant
}

// platforms are those the archive has images for.
func (a *Archive) platforms(index ocispec.Index, depth int) []string {
	var all []string
	for _, d := range index.Manifests {
		var inner ocispec.Index
		if isIndex(d.MediaType) && depth < maxDepth && a.document(d, &inner) == nil {
			all = append(all, a.platforms(inner, depth+1)...)
		} else if p, err := a.platformOf(d); err == nil && p != "" && !strings.HasPrefix(p, "unknown/") {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return []string{"none"}
	}
	return all
}

// addParts adds the config and the layers of a manifest, each once.
func (a *Archive) addParts(d ocispec.Descriptor) error {
	var manifest ocispec.Manifest
	if err := a.document(d, &manifest); err != nil {
		return err
	}
	var config ocispec.Image
	if err := a.document(manifest.Config, &config); err != nil {
		return err
	}
	a.add(manifest.Config)
	for _, l := range manifest.Layers {
		s, ok := a.at[l.Digest.String()]
		if !ok {
			return fmt.Errorf("layer %s is not in the archive", l.Digest)
		}
		if s.size != l.Size {
			return fmt.Errorf("layer %s has %d bytes, not %d", l.Digest, s.size, l.Size)
		}
		a.add(l)
	}
	return nil
}

func (a *Archive) add(d ocispec.Descriptor) {
	for _, b := range a.blobs {
		if b.Digest == d.Digest.String() {
			return // the same empty layer twice
		}
	}
	a.blobs = append(a.blobs, Blob{Digest: d.Digest.String(), Size: d.Size})
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

func isManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == "application/vnd.docker.distribution.manifest.v2+json"
}
