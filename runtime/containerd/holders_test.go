//go:build linux

package containerd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// fromRegistry is a source of what anybody gets there.
type fromRegistry struct{ runtime.BlobSource }

func (fromRegistry) Public(string) bool { return true }

// refuses is a source that has nothing.
var refuses = runtimetest.Blobs{}

func TestAPublicLayerNeedNotComeWithAPrivateImage(t *testing.T) {
	h := open(t)
	var base map[string]int64
	t.Run("public", func(t *testing.T) {
		image, from := newImage(t)
		image.For = "owner"
		if err := h.Pull(t.Context(), image, fromRegistry{from}, nil); err != nil {
			t.Fatal(err)
		}
		var err error
		if base, err = h.Blobs(t.Context(), "friend"); err != nil || len(base) == 0 {
			t.Fatalf("%d blobs for everybody, %v", len(base), err)
		}
	})
	t.Run("private", func(t *testing.T) {
		image, from := newImage(t) // upon the same busybox
		image.For = "friend"
		src := &noting{BlobSource: from}
		if err := h.Pull(t.Context(), image, src, nil); err != nil {
			t.Fatal(err)
		}
		if len(src.asked) != 3 || slices.ContainsFunc(src.asked, func(d string) bool { return base[d] != 0 }) {
			t.Errorf("asked for %v, want manifest, config and the layer of its own", src.asked)
		}
	})
}

// An image that was pulled before anything said for whom it is here is here for nobody.
func TestWhatNoLabelSpeaksOfIsGivenAgain(t *testing.T) {
	h := open(t)
	image, from := newImage(t)
	if err := h.Pull(t.Context(), image, from, nil); err != nil {
		t.Fatal(err)
	}
	err := h.do(t.Context(), func(ctx context.Context, c *client.Client) error {
		img, err := c.ImageService().Get(ctx, imageName(image))
		if err != nil {
			return err
		}
		img.Labels = map[string]string{rootLabel: image.Digest}
		if _, err := c.ImageService().Update(ctx, img, "labels"); err != nil {
			return err
		}
		return c.ContentStore().Walk(ctx, func(i content.Info) error {
			maps.DeleteFunc(i.Labels, func(name, _ string) bool { return name == holderLabel })
			_, err := c.ContentStore().Update(ctx, i, "labels")
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Pull(t.Context(), image, refuses, nil); err == nil {
		t.Error("an image of before is here for whoever names it")
	}
	src := &noting{BlobSource: from}
	if err := h.Pull(t.Context(), image, src, nil); err != nil || len(src.asked) != 4 {
		t.Errorf("%v; asked for %v, want manifest, config and two layers", err, src.asked)
	}
	if err := h.Pull(t.Context(), image, refuses, nil); err != nil {
		t.Errorf("once it was given: %v", err)
	}
}

// Another program's images are in the same containerd, and in the same store.
func TestWhatOtherProgramsHaveInContainerdIsNotHere(t *testing.T) {
	h := open(t)
	image, from := newImage(t)
	manifest := readAll(t, from, image.Digest)
	err := h.do(t.Context(), func(ctx context.Context, c *client.Client) error {
		ctx = namespaces.WithNamespace(ctx, "another-program")
		d := ocispec.Descriptor{Digest: digest.Digest(image.Digest), Size: image.Size}
		return content.WriteBlob(ctx, c.ContentStore(), "manifest", bytes.NewReader(manifest), d)
	})
	if err != nil {
		t.Fatal(err)
	}
	src := &noting{BlobSource: from}
	if err := h.Pull(t.Context(), image, src, nil); err != nil || !slices.Contains(src.asked, image.Digest) {
		t.Errorf("%v; asked for %v, want all of it", err, src.asked)
	}
}

// An image may say that its layers unpack to what another's do, which is here already.
func TestNobodyGetsAnothersLayersBySayingThatTheirOwnUnpackToThem(t *testing.T) {
	h := open(t)
	path := filepath.Join(t.TempDir(), "busybox.tar")
	if err := ociimage.Busybox(path); err != nil {
		t.Fatal(err)
	}
	archive := openArchive(t, path) // h.image once more
	var m ocispec.Manifest
	if err := json.Unmarshal(readAll(t, archive, h.image.Digest), &m); err != nil {
		t.Fatal(err)
	}
	config, layer := readAll(t, archive, m.Config.Digest.String()), []byte("not what the config says")
	m.Layers[0].Digest, m.Layers[0].Size = digest.FromBytes(layer), int64(len(layer))
	manifest, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	blobs := runtimetest.Blobs{}
	for _, b := range [][]byte{manifest, config, layer} {
		blobs[digest.FromBytes(b).String()] = b
	}
	image := h.image
	image.Digest, image.Size, image.For = digest.FromBytes(manifest).String(), int64(len(manifest)), "stranger"
	for range 2 { // and not the second time
		if err := h.Pull(t.Context(), image, blobs, nil); !errors.Is(err, runtime.ErrUnpack) {
			t.Errorf("pull: %v", err)
		}
	}
	err = h.Start(t.Context(), runtime.Spec{ID: "task", Image: image, Command: []string{"true"}})
	if !errors.Is(err, runtime.ErrImage) {
		t.Errorf("start: %v", err)
	}
}

func readAll(t *testing.T, from runtime.BlobSource, name string) []byte {
	t.Helper()
	r, err := from.Blob(t.Context(), name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHoldersOfOneBlobAreBounded(t *testing.T) {
	labels := map[string]string{"containerd.io/uncompressed": "sha256:"}
	for i := range 3 * maxHolders {
		who := fmt.Sprint(i)
		for name, value := range granted(labels, who, false) {
			if labels[name] = value; value == "" {
				delete(labels, name)
			}
		}
		if !mayHave(labels, who) || mayHave(labels, "somebody else") {
			t.Fatalf("after %d: %v", i, labels)
		}
	}
	if len(labels) != maxHolders+1 || labels["containerd.io/uncompressed"] == "" {
		t.Errorf("%d labels", len(labels))
	}
	maps.Copy(labels, granted(labels, "anybody", true))
	if !mayHave(labels, "somebody else") {
		t.Error("what is public is not for everybody")
	}
}
