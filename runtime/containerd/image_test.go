//go:build linux

package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

func TestAnImageThatCannotRunHereSaysWhy(t *testing.T) {
	h := open(t)
	path := filepath.Join(t.TempDir(), "image.tar")
	noise := func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte("this is no archive "), 1000))
		return err
	}
	if err := ociimage.FromLayers(path, ociimage.Options{}, noise); err != nil {
		t.Fatal(err)
	}
	broken := openArchive(t, path)
	for range 2 { // and is no better the second time
		if err := h.Pull(t.Context(), broken.Image(), broken, nil); !errors.Is(err, runtime.ErrUnpack) {
			t.Errorf("a broken layer: %v", err)
		}
	}
	err := h.Start(t.Context(), runtime.Spec{ID: "task", Image: broken.Image(), Command: []string{"true"}})
	if !errors.Is(err, runtime.ErrImage) {
		t.Errorf("start: %v", err)
	}
	index := fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":"linux","architecture":"arm64"}}]}`,
		h.image.MediaType, h.image.Digest, h.image.Size)
	foreign := runtime.Image{Digest: digest.FromBytes(index).String(), MediaType: ocispec.MediaTypeImageIndex, Size: int64(len(index)), Platform: "linux/amd64"}
	err = h.Pull(t.Context(), foreign, document(index), nil)
	if !errors.Is(err, runtime.ErrPlatform) {
		t.Errorf("for another platform: %v", err)
	}
}

// document is a source of one blob.
type document []byte

func (d document) Blob(_ context.Context, _ string, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(d[offset:])), nil
}
