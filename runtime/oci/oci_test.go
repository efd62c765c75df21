package oci_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime/oci"
)

// shelf is content by digest.
type shelf map[digest.Digest][]byte

func (s shelf) put(mediaType string, v any) ocispec.Descriptor {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	d := digest.FromBytes(b)
	s[d] = b
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

func (s shelf) read(d ocispec.Descriptor) ([]byte, error) {
	b, ok := s[d.Digest]
	if !ok {
		return nil, fmt.Errorf("no %s", d.Digest)
	}
	return b, nil
}

// image adds an image whose layers are of some types.
func (s shelf) image(arch string, layers ...string) ocispec.Descriptor {
	platform := ocispec.Platform{OS: "linux", Architecture: arch}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
		Config: s.put(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: platform})}
	for i, mediaType := range layers {
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(fmt.Sprint(i)), Size: 10})
	}
	d := s.put(ocispec.MediaTypeImageManifest, m)
	d.Platform = &platform
	return d
}

func (s shelf) index(entries ...ocispec.Descriptor) ocispec.Descriptor {
	return s.put(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: entries})
}

func choose(s shelf, platform string, entries ...ocispec.Descriptor) (oci.Contents, error) {
	return oci.Choose(entries, platform, s.read)
}

func TestTheImageIsNamedByTheIndexNextToIt(t *testing.T) {
	s := shelf{}
	arm := s.image("arm64", ocispec.MediaTypeImageLayerGzip)
	arm.Platform.Variant = "v8"
	inner := s.index(s.image("amd64"), arm)
	got, err := choose(s, "linux/arm64", s.index(s.index(inner)))
	if err != nil || got.Image.Digest != inner.Digest.String() || got.Image.Platform != "linux/arm64" {
		t.Fatalf("%+v, %v", got.Image, err)
	}
	if len(got.Blobs) != 4 || got.Blobs[0].Digest != inner.Digest.String() || got.Blobs[1].Digest != arm.Digest.String() {
		t.Errorf("%v", got.Blobs)
	}
}

func TestAnEntryWithoutPlatformIsAnImageOnlyWhereItIsAlone(t *testing.T) {
	s := shelf{}
	bare := s.image("amd64")
	bare.Platform = nil
	alone := s.index(bare)
	if got, err := choose(s, "linux/amd64", alone); err != nil || got.Image.Digest != alone.Digest.String() {
		t.Errorf("%+v, %v", got.Image, err)
	}
	if _, err := choose(s, "linux/amd64", s.index(bare, s.image("arm64"))); !errors.Is(err, oci.ErrPlatform) {
		t.Error(err)
	}
}

func TestALayerThatComesTwiceIsOneBlob(t *testing.T) {
	s := shelf{}
	m := ocispec.Manifest{Config: s.put(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})}
	layer := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("x"), Size: 7}
	m.Layers = []ocispec.Descriptor{layer, layer}
	d := s.put(ocispec.MediaTypeImageManifest, m)
	got, err := choose(s, "linux/amd64", d)
	want := []oci.Blob{{Digest: d.Digest.String(), Size: d.Size}, {Digest: m.Config.Digest.String(), Size: m.Config.Size}, {Digest: layer.Digest.String(), Size: 7}}
	if diff := cmp.Diff(want, got.Blobs); diff != "" || err != nil || got.TotalBytes() != d.Size+m.Config.Size+7 {
		t.Error(diff, err)
	}
}

func TestWhatCannotRunIsRefusedWithTheReason(t *testing.T) {
	s := shelf{}
	chart := s.put(ocispec.MediaTypeImageManifest, ocispec.Manifest{Config: s.put("application/vnd.cncf.helm.config.v1+json", 1)})
	deep := s.image("amd64")
	for range 5 {
		deep = s.index(deep)
	}
	large := s.image("amd64")
	large.Size = oci.MaxDocument + 1
	short := s.image("amd64")
	short.Size--
	odd := s.image("amd64")
	odd.Digest = "sha512:" + digest.Digest(strings.Repeat("0", 128))
	windows := s.image("amd64")
	windows.Platform = &ocispec.Platform{OS: "windows", Architecture: "amd64"}
	attested := s.image("unknown")
	attested.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	for want, d := range map[string]ocispec.Descriptor{
		"no container image":            chart,
		"nest too deeply":               deep,
		"129 layers, 128 are allowed":   s.image("amd64", strings.Fields(strings.Repeat(ocispec.MediaTypeImageLayer+" ", 129))...),
		"not kept with the image":       s.image("amd64", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
		"which is no file system":       s.image("amd64", "application/wasm"),
		"4194304 are allowed":           large,
		"not " + fmt.Sprint(short.Size): short,
		"is no SHA-256":                 odd,
		"there is windows/amd64":        windows,
		"there is none":                 s.index(attested),
	} {
		if _, err := choose(s, "linux/amd64", d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func FuzzChoose(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json"}]}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, index, manifest []byte) {
		s := shelf{digest.FromBytes(index): index, digest.FromBytes(manifest): manifest}
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(index), Size: int64(len(index))}
		if got, err := choose(s, "linux/amd64", d); err == nil && len(got.Blobs) < 2 {
			t.Errorf("%v", got)
		}
	})
}
