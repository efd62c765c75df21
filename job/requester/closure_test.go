package requester

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/proto"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// store is a Content in memory.
type store map[string][]byte

func (s store) put(b []byte) string {
	sum := sha256.Sum256(b)
	d := "sha256:" + hex.EncodeToString(sum[:])
	s[d] = b
	return d
}

func (s store) json(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return s.put(b)
}

func (s store) manifest(entries ...*marketv1.Entry) string {
	b, err := proto.Marshal(&marketv1.Manifest{Entries: entries})
	if err != nil {
		panic(err)
	}
	return s.put(b)
}

func (s store) Reader(digest string, offset int64) (io.ReadCloser, error) {
	b, ok := s[digest]
	if !ok || offset > int64(len(b)) {
		return nil, fmt.Errorf("no blob %s", digest)
	}
	return io.NopCloser(bytes.NewReader(b[offset:])), nil
}

func (s store) Fetch(ctx context.Context, src runtime.BlobSource, digest string, limit int64) error {
	if _, ok := s[digest]; ok {
		return nil
	}
	r, err := src.Blob(ctx, digest, 0)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(b)) > limit {
		return fmt.Errorf("%w: %d bytes, not %d", ErrContent, len(b), limit)
	}
	if d := s.put(b); d != digest {
		return fmt.Errorf("%w: it is %s", ErrContent, d)
	}
	return nil
}

func (s store) Manifest(ctx context.Context, src runtime.BlobSource, digest string) (*marketv1.Manifest, error) {
	if src != nil {
		if err := s.Fetch(ctx, src, digest, math.MaxInt64); err != nil {
			return nil, err
		}
	}
	b, ok := s[digest]
	var m marketv1.Manifest
	if !ok || proto.Unmarshal(b, &m) != nil {
		return nil, fmt.Errorf("%w: no manifest %s", ErrContent, digest)
	}
	return &m, nil
}

// descriptor describes a blob that is here.
func (s store) descriptor(mediaType, name string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(name), Size: int64(len(s[name]))}
}

// image adds an image for an architecture, and lists its blobs, the manifest first.
func (s store) image(arch string) []string {
	config := s.put(fmt.Appendf(nil, `{"os":"linux","architecture":%q}`, arch))
	layer := s.put([]byte("layer for " + arch))
	manifest := s.json(ocispec.Manifest{
		Config: s.descriptor(ocispec.MediaTypeImageConfig, config),
		Layers: []ocispec.Descriptor{s.descriptor(ocispec.MediaTypeImageLayer, layer)},
	})
	return []string{manifest, config, layer}
}

func (s store) spec(mediaType, digest string, inputs ...string) *marketv1.Spec {
	spec := &marketv1.Spec{Image: &marketv1.Image{
		Digest: digest, MediaType: mediaType, SizeBytes: uint64(len(s[digest])), Platform: "linux/amd64", Name: "test:1",
	}}
	for _, in := range inputs {
		spec.Inputs = append(spec.Inputs, &marketv1.Input{Manifest: in, Path: "/in"})
	}
	return spec
}

func TestAClosureIsTheImageOnItsPlatformAndTheInputs(t *testing.T) {
	const manifest, index = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
	s := store{}
	amd, arm := s.image("amd64"), s.image("arm64")
	both := s.json(ocispec.Index{Manifests: []ocispec.Descriptor{
		withPlatform(s.descriptor(manifest, arm[0]), "arm64"), withPlatform(s.descriptor(manifest, amd[0]), "amd64"),
	}})
	file := s.put([]byte("file"))
	input := s.manifest(&marketv1.Entry{Path: "dir", Directory: true}, &marketv1.Entry{Path: "dir/f", Digest: file}, &marketv1.Entry{Path: "l", LinkTarget: "f"})
	missing := "sha256:" + strings.Repeat("0", 64)
	lacking := s.manifest(&marketv1.Entry{Path: "f", Digest: missing})
	for _, c := range []struct {
		name string
		spec *marketv1.Spec
		want []string // nil: refused
	}{
		{"a manifest", s.spec(manifest, amd[0]), amd},
		{"an index", s.spec(index, both), append([]string{both}, amd...)},
		{"with inputs", s.spec(manifest, amd[0], input), append([]string{input, file}, amd...)},
		{"another platform", s.spec(manifest, arm[0]), nil},
		{"an image that is not here", s.spec(manifest, missing), nil},
		{"not a document", s.spec(manifest, file), nil},
		{"an input that is not here", s.spec(manifest, amd[0], missing), nil},
		{"a file of an input that is not here", s.spec(manifest, amd[0], lacking), nil},
		{"an input that is no manifest", s.spec(manifest, amd[0], amd[0]), nil},
	} {
		set, err := closure(s, c.spec)
		if (err != nil) != (c.want == nil) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, want := slices.Sorted(maps.Keys(set)), slices.Sorted(slices.Values(c.want)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
	delete(s, amd[2])
	if _, err := closure(s, s.spec(manifest, amd[0])); err == nil {
		t.Error("a layer is not here: not refused")
	}
}

func withPlatform(d ocispec.Descriptor, arch string) ocispec.Descriptor {
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
	return d
}
