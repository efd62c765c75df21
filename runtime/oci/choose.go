package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
)

// Read gives the content of an index, manifest or config. Choose checks its digest.
type Read func(ocispec.Descriptor) ([]byte, error)

// Choose picks the image for a platform ("linux/amd64") from what entries lead to, and
// lists its blobs. It reads no layer. ErrPlatform.
func Choose(entries []ocispec.Descriptor, platform string, read Read) (Contents, error) {
	c := chooser{read: read, platform: platform}
	path, err := c.find(entries, nil)
	if err != nil {
		return Contents{}, err
	}
	if path == nil {
		return Contents{}, fmt.Errorf("%w %s: there is %s", ErrPlatform, platform, strings.Join(c.platforms(entries, 0), ", "))
	}
	path = path[max(0, len(path)-2):] // the manifest, and the index it stands in
	root, manifest := path[0], path[len(path)-1]
	for _, d := range path {
		c.add(d)
	}
	if err := c.addParts(manifest); err != nil {
		return Contents{}, err
	}
	image := runtime.Image{Digest: root.Digest.String(), MediaType: root.MediaType, Size: root.Size, Platform: platform}
	return Contents{Image: image, Blobs: c.blobs, Layers: c.layers}, nil
}

// chooser is one Choose.
type chooser struct {
	read     Read
	platform string
	blobs    []Blob
	layers   int
}

// find walks down to the manifest of the platform and gives the way there.
func (c *chooser) find(entries, above []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	if len(above) >= maxDepth {
		return nil, errors.New("indexes nest too deeply")
	}
	for _, d := range entries {
		path := append(above[:len(above):len(above)], d)
		if IsIndex(d.MediaType) {
			var inner ocispec.Index
			if err := c.document(d, &inner); err != nil {
				return nil, err
			}
			if found, err := c.find(entriesOf(inner), path); found != nil || err != nil {
				return found, err
			}
			continue
		}
		has, err := c.platformOf(d)
		if err != nil {
			return nil, err
		}
		if has == c.platform {
			return path, nil
		}
	}
	return nil, nil
}

// entriesOf are those entries of an image's index that are for some platform: one that
// names none is taken for an image only where it is alone.
func entriesOf(index ocispec.Index) []ocispec.Descriptor {
	if len(index.Manifests) == 1 {
		return index.Manifests
	}
	return slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		return d.Platform == nil && !IsIndex(d.MediaType)
	})
}

// platformOf is what a descriptor says, or the image's config where it says nothing;
// empty for what is no image.
func (c *chooser) platformOf(d ocispec.Descriptor) (string, error) {
	if !IsManifest(d.MediaType) {
		return "", nil
	}
	if d.Platform != nil {
		return platformName(*d.Platform), nil
	}
	_, config, err := c.manifest(d)
	return platformName(config.Platform), err
}

// platformName writes a platform as runtime.Image does. arm64's only variant goes without saying.
func platformName(p ocispec.Platform) string {
	if p.Variant == "" || (p.Architecture == "arm64" && p.Variant == "v8") {
		return p.OS + "/" + p.Architecture
	}
	return p.OS + "/" + p.Architecture + "/" + p.Variant
}

// platforms are those there are images for.
func (c *chooser) platforms(entries []ocispec.Descriptor, depth int) []string {
	var all []string
	for _, d := range entries {
		var inner ocispec.Index
		if IsIndex(d.MediaType) {
			if depth < maxDepth && c.document(d, &inner) == nil {
				all = append(all, c.platforms(entriesOf(inner), depth+1)...)
			}
		} else if p, err := c.platformOf(d); err == nil && p != "" && !strings.HasPrefix(p, "unknown/") {
			all = append(all, p)
		}
	}
	if len(all) == 0 && depth == 0 {
		return []string{"none"}
	}
	return all
}

// manifest reads a manifest and its config.
func (c *chooser) manifest(d ocispec.Descriptor) (manifest ocispec.Manifest, config ocispec.Image, err error) {
	if err := c.document(d, &manifest); err != nil {
		return manifest, config, err
	}
	if !isConfig(manifest.Config.MediaType) {
		return manifest, config, fmt.Errorf("manifest %s is of %q, which is no container image", d.Digest, manifest.Config.MediaType)
	}
	return manifest, config, c.document(manifest.Config, &config)
}

// addParts adds the config and the layers of a manifest.
func (c *chooser) addParts(d ocispec.Descriptor) error {
	manifest, _, err := c.manifest(d)
	if err != nil {
		return err
	}
	if n := len(manifest.Layers); n > MaxLayers {
		return fmt.Errorf("the image has %d layers, %d are allowed", n, MaxLayers)
	}
	c.add(manifest.Config)
	c.layers = len(manifest.Layers)
	for _, l := range manifest.Layers {
		switch err := checkDigest(l); {
		case err != nil:
			return err
		case isForeign(l.MediaType):
			return fmt.Errorf("layer %s is not kept with the image, but at its maker's", l.Digest)
		case !isLayer(l.MediaType):
			return fmt.Errorf("layer %s is of %q, which is no file system", l.Digest, l.MediaType)
		}
		c.add(l)
	}
	return nil
}

func (c *chooser) add(d ocispec.Descriptor) {
	b := Blob{Digest: d.Digest.String(), Size: d.Size}
	if !slices.ContainsFunc(c.blobs, func(has Blob) bool { return has.Digest == b.Digest }) { // the same empty layer twice
		c.blobs = append(c.blobs, b)
	}
}

// document reads and checks what is read whole.
func (c *chooser) document(d ocispec.Descriptor, v any) error {
	if err := checkDigest(d); err != nil {
		return err
	}
	if d.Size > MaxDocument {
		return fmt.Errorf("blob %s has %d bytes, %d are allowed", d.Digest, d.Size, MaxDocument)
	}
	b, err := c.read(d)
	if err != nil {
		return err
	}
	if int64(len(b)) != d.Size {
		return fmt.Errorf("blob %s has %d bytes, not %d", d.Digest, len(b), d.Size)
	}
	if digest.FromBytes(b) != d.Digest {
		return fmt.Errorf("blob %s does not have that digest", d.Digest)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return nil
}

func checkDigest(d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil || d.Digest.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest %q is no SHA-256", d.Digest)
	}
	if d.Size < 0 {
		return fmt.Errorf("blob %s has %d bytes", d.Digest, d.Size)
	}
	return nil
}
