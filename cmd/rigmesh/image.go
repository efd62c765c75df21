package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/oci"
	"github.com/rigmesh/rigmesh/runtime/ociarchive"
	"github.com/rigmesh/rigmesh/runtime/ociregistry"
)

// archivePrefix begins the reference of an image in a file. All others name one in a registry.
const archivePrefix = "oci-archive:"

// imageSource is an image wherever it lies.
type imageSource interface {
	runtime.BlobSource
	io.Closer
	Image() runtime.Image
	Blobs() []oci.Blob
	TotalBytes() int64
	Layers() int
}

// openImage reads what an image is made of.
func openImage(ctx context.Context, ref, platform string) (imageSource, error) {
	if path, ok := strings.CutPrefix(ref, archivePrefix); ok {
		archive, err := ociarchive.Open(ctx, path, platform)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", path, err)
		}
		return archive, nil
	}
	image, err := ociregistry.Open(ctx, ref, platform)
	if err != nil {
		return nil, explainImage(ref, fmt.Errorf("image %s: %w", job.CleanText(ref), err))
	}
	return image, nil
}

// explainImage adds what to do when a registry does not give an image.
func explainImage(ref string, err error) error {
	var denied *ociregistry.DeniedError
	switch {
	case isFile(ref):
		return hint(err, "an archive in a file is written %s%s", archivePrefix, ref)
	case errors.As(err, &denied):
		return hint(err, "log in with: docker login %s", denied.Host)
	case errors.Is(err, ociregistry.ErrUnreachable):
		return hint(err, "an image can also come from a file: save it with docker save, then rigmesh run %sFILE", archivePrefix)
	}
	return err
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// defaultPlatform is that of most machines with a GPU, whatever this one is.
const defaultPlatform = "linux/amd64"

// addImage adds an image's blobs. Those of a registry are fetched when they are sent.
func (c *cargo) addImage(ctx context.Context, ref, platform string) error {
	if platform == "" {
		platform = defaultPlatform
	}
	image, err := openImage(ctx, ref, platform)
	if err != nil {
		return err
	}
	c.closes = append(c.closes, image)
	what := handing
	if !strings.HasPrefix(ref, archivePrefix) {
		what = "downloading " + job.CleanText(ref)
	}
	for _, b := range image.Blobs() {
		c.add(b.Digest, part{what, b.Size, func() (io.ReadCloser, error) { return image.Blob(ctx, b.Digest, 0) }})
	}
	i := image.Image()
	c.image = &marketv1.Image{
		Digest: i.Digest, MediaType: i.MediaType, SizeBytes: uint64(i.Size), Platform: i.Platform,
		TotalBytes: uint64(image.TotalBytes()), Name: job.CleanText(ref), Public: isPublic(image), Layers: uint32(image.Layers()),
	}
	return nil
}

// isPublic says whether a worker may ask the image's registry itself.
func isPublic(image imageSource) bool {
	r, ok := image.(*ociregistry.Image)
	return ok && r.Public()
}
