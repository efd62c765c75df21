package ociarchive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime/oci"
	"github.com/rigmesh/rigmesh/runtime/ociarchive"
)

// archive is a tar file in the making.
type archive struct {
	t     testing.TB
	files map[string][]byte
}

func newArchive(t testing.TB) archive {
	return archive{t, map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
}

func (a archive) blob(mediaType string, content []byte) ocispec.Descriptor {
	d := digest.FromBytes(content)
	a.files["blobs/sha256/"+d.Encoded()] = content
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func (a archive) document(mediaType string, v any) ocispec.Descriptor {
	b, err := json.Marshal(v)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.blob(mediaType, b)
}

// image adds an image of one layer for a platform.
func (a archive) image(arch, layer string) ocispec.Descriptor {
	platform := ocispec.Platform{OS: "linux", Architecture: arch}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: a.document(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: platform}),
		Layers: []ocispec.Descriptor{a.blob(ocispec.MediaTypeImageLayer, []byte(layer))}}
	d := a.document(ocispec.MediaTypeImageManifest, m)
	d.Platform = &platform
	return d
}

func (a archive) index(entries ...ocispec.Descriptor) {
	b, err := json.Marshal(ocispec.Index{Manifests: entries})
	if err != nil {
		a.t.Fatal(err)
	}
	a.files["index.json"] = b
}

func (a archive) bytes() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(a.files)) {
		content := a.files[name]
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			a.t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		a.t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, content []byte, platform string) (*ociarchive.Archive, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := ociarchive.Open(context.Background(), path, platform)
	if err == nil {
		t.Cleanup(func() { _ = a.Close() })
	}
	return a, err
}

func TestArchiveOfManyPlatformsGivesTheOneAskedFor(t *testing.T) {
	a := newArchive(t)
	amd, arm := a.image("amd64", "amd layer"), a.image("arm64", "arm layer")
	inner := a.document(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: []ocispec.Descriptor{amd, arm}})
	a.index(inner)
	got, err := open(t, a.bytes(), "linux/arm64")
	if err != nil {
		t.Fatal(err)
	}
	if image := got.Image(); image.Digest != inner.Digest.String() || image.Size != inner.Size || image.Platform != "linux/arm64" {
		t.Errorf("image %+v", image)
	}
	var sizes []int64
	var last string
	for _, b := range got.Blobs() {
		sizes, last = append(sizes, b.Size), b.Digest
	}
	if len(sizes) != 4 || sizes[0] != inner.Size || sizes[1] != arm.Size {
		t.Errorf("blobs of sizes %v", sizes)
	}
	r, err := got.Blob(t.Context(), last, 4)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if diff := cmp.Diff("layer", string(content)); diff != "" || err != nil {
		t.Error(diff, err)
	}
	var total int64
	for _, s := range sizes {
		total += s
	}
	if got.TotalBytes() != total {
		t.Errorf("%d bytes in all, want %d", got.TotalBytes(), total)
	}
}

func TestPlatformMayStandInTheConfigOnly(t *testing.T) {
	a := newArchive(t)
	d := a.image("amd64", "layer")
	d.Platform = nil
	a.index(d)
	got, err := open(t, a.bytes(), "")
	if err != nil || got.Image().Digest != d.Digest.String() {
		t.Errorf("%v", err)
	}
}

func TestUnusableArchivesAreRefusedWithTheReason(t *testing.T) {
	other := newArchive(t)
	other.index(other.image("arm64", "layer"))
	lies := newArchive(t)
	d := lies.image("amd64", "layer")
	lies.index(d)
	lies.files["blobs/sha256/"+d.Digest.Encoded()] = bytes.Repeat([]byte("x"), int(d.Size))
	missing := newArchive(t)
	missing.index(missing.image("amd64", "layer"))
	delete(missing.files, "blobs/sha256/"+digest.FromString("layer").Encoded())
	saved := newArchive(t)
	saved.files["manifest.json"] = []byte("[]")
	good := newArchive(t)
	good.index(good.image("amd64", "layer"))
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(good.bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		content []byte
		want    error
		text    string
	}{
		{other.bytes(), oci.ErrPlatform, "linux/arm64"},
		{lies.bytes(), nil, "does not have that digest"},
		{missing.bytes(), nil, "is not in the archive"},
		{saved.bytes(), ociarchive.ErrFormat, "docker save"},
		{newArchive(t).bytes(), ociarchive.ErrFormat, "index.json"},
		{packed.Bytes(), ociarchive.ErrFormat, "gzip"},
		{[]byte("no tar at all"), ociarchive.ErrFormat, ""},
		{nil, ociarchive.ErrFormat, ""},
		{good.bytes()[:len(good.bytes())/2], nil, ""}, // cut off
	} {
		_, err := open(t, c.content, "linux/amd64")
		if err == nil || !strings.Contains(err.Error(), c.text) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("got error %v, want %v with %q", err, c.want, c.text)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("no tar"))
	good := newArchive(f)
	good.index(good.image("amd64", "layer"))
	f.Add(good.bytes())
	f.Fuzz(func(t *testing.T, content []byte) {
		a, err := open(t, content, "")
		if err != nil {
			return
		}
		for _, b := range a.Blobs() {
			if _, err := a.Open(b.Digest); err != nil {
				t.Errorf("%s is listed and not there: %v", b.Digest, err)
			}
		}
	})
}
