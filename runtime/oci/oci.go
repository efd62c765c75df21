// Package oci knows what an image is made of: from an index down to the layers of one
// platform, in the words of OCI and of docker alike. Where the content lies, in a file or
// in a registry, is its callers' business.
package oci

import (
	"errors"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
)

// ErrPlatform: there is no image for the platform.
var ErrPlatform = errors.New("no image for the platform")

// Bounds on what an image may be made of.
const (
	// MaxDocument bounds an index, manifest or config, in bytes.
	MaxDocument = 4 << 20
	// MaxLayers is what the layers of one image may number.
	MaxLayers = 128
)

// maxDepth bounds how indexes may nest. Two levels are in use: an archive's own and a
// multi-platform image's.
const maxDepth = 4

// Docker's names for what OCI has names of its own for.
const (
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
	dockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	ociForeign     = "application/vnd.oci.image.layer.nondistributable."
)

// Blob is one content-addressed part of an image.
type Blob struct {
	Digest string // "sha256:…"
	Size   int64  // in bytes
}

// Contents is an image for one platform.
type Contents struct {
	// Image names it: the index that points to its manifest where there is one, else
	// the manifest.
	Image runtime.Image
	// Blobs are all that the image needs, from the index down, each once.
	Blobs []Blob
	// Layers is how many of them are layers; one that comes twice counts twice.
	Layers int
}

// TotalBytes is the size of all blobs together.
func (c Contents) TotalBytes() int64 {
	var total int64
	for _, b := range c.Blobs {
		total += b.Size
	}
	return total
}

// IsIndex says whether a media type is an index's, or docker's manifest list.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerIndex
}

// IsManifest says whether a media type is that of an image's manifest.
func IsManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == dockerManifest
}

// DocumentTypes are the media types of what an image may begin with.
func DocumentTypes() []string {
	return []string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, dockerIndex, dockerManifest}
}

func isConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == dockerConfig
}

// isForeign says whether a layer is kept somewhere else, as Windows' own are.
func isForeign(mediaType string) bool {
	return strings.HasPrefix(mediaType, dockerForeign) || strings.HasPrefix(mediaType, ociForeign)
}

func isLayer(mediaType string) bool {
	return strings.HasPrefix(mediaType, ocispec.MediaTypeImageLayer) || strings.HasPrefix(mediaType, dockerLayer)
}
