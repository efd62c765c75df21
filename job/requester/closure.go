package requester

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime/oci"
)

// maxDocument bounds a document of an image, which is read whole.
const maxDocument = 32 << 20

// closure lists every blob a job's worker may fetch: the image's, and the inputs'. All of
// them must be in the store, but those that the web or other nodes have too.
func closure(c Content, spec *marketv1.Spec) (map[string]bool, error) {
	set := map[string]bool{}
	if err := imageClosure(c, set, spec.Image); err != nil {
		return nil, fmt.Errorf("image %s: %w", spec.Image.Name, err)
	}
	for _, in := range spec.Inputs {
		if in.Shared && !has(c, in.Manifest) {
			continue
		}
		m, err := c.Manifest(context.Background(), nil, in.Manifest)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", in.Path, err)
		}
		set[in.Manifest] = true
		for _, e := range m.Entries {
			if e.Digest != "" && (e.Url == "" && !in.Shared || has(c, e.Digest)) { // who has it not need not give it
				set[e.Digest] = true
			}
		}
	}
	for digest := range set {
		r, err := c.Reader(digest, 0)
		if err != nil {
			return nil, fmt.Errorf("blob %s: %w", digest, err)
		}
		_ = r.Close()
	}
	return set, nil
}

func has(c Content, digest string) bool {
	r, err := c.Reader(digest, 0)
	if err != nil {
		return false
	}
	_ = r.Close()
	return true
}

// imageClosure adds what an image is made of on its platform.
func imageClosure(c Content, set map[string]bool, image *marketv1.Image) error {
	blobs, err := imageBlobs(c, image)
	for _, b := range blobs {
		set[b.Digest] = true
	}
	return err
}

func imageBlobs(c Content, image *marketv1.Image) ([]oci.Blob, error) {
	root := ocispec.Descriptor{MediaType: image.MediaType, Digest: digest.Digest(image.Digest), Size: int64(image.SizeBytes)}
	contents, err := oci.Choose([]ocispec.Descriptor{root}, image.Platform, func(d ocispec.Descriptor) ([]byte, error) {
		return readBlob(c, d.Digest.String())
	})
	return contents.Blobs, err
}

// marks name the largest blobs of a job's image, so that a worker knows which of them it has
// from other images. None when the image cannot be read, which says nothing about the job.
func (j *run) marks() (marks []uint32) {
	blobs, err := imageBlobs(j.r.Content, j.sub.Spec.Image)
	if err != nil {
		j.log.Debug("largest blobs of the image", "err", err)
	}
	slices.SortFunc(blobs, func(a, b oci.Blob) int { return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Digest, b.Digest)) })
	for _, b := range blobs[:min(len(blobs), job.MaxMarks)] {
		marks = append(marks, job.Mark(b.Digest))
	}
	return marks
}

func readBlob(c Content, digest string) ([]byte, error) {
	r, err := c.Reader(digest, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(b) > maxDocument {
		err = fmt.Errorf("blob %s is over %d bytes", digest, maxDocument)
	}
	return b, err
}
