package runtimetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
)

// Blobs is a BlobSource in memory.
type Blobs map[string][]byte

// Blob reads one.
func (b Blobs) Blob(_ context.Context, digest string, offset int64) (io.ReadCloser, error) {
	content, ok := b[digest]
	if !ok || offset > int64(len(content)) {
		return nil, fmt.Errorf("no blob %s from %d on", digest, offset)
	}
	return io.NopCloser(bytes.NewReader(content[offset:])), nil
}

func (b Blobs) add(mediaType string, content []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digestOf(content), Size: int64(len(content))}
	b[d.Digest] = content
	return d
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

// Image makes an image that Memory can pull and its blobs. What the seed is does not
// matter; different seeds make different images. Each of below makes one layer more, which
// images that were made with it share, and the image of that seed.
func Image(seed string, below ...string) (runtime.Image, Blobs) {
	blobs := make(Blobs)
	m := manifest{MediaType: manifestType, Config: blobs.add(configType, []byte(`{"os":"linux","architecture":"amd64"}`))}
	for _, s := range append(below, seed) {
		m.Layers = append(m.Layers, blobs.add(layerType, []byte(strings.Repeat(s+"\n", 4096))))
	}
	content, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	d := blobs.add(manifestType, content)
	return runtime.Image{Digest: d.Digest, Size: d.Size, MediaType: manifestType, Platform: "linux/amd64"}, blobs
}

// descriptor, manifest and index are the parts of OCI documents that Pull walks.
type descriptor struct {
	MediaType string `json:"mediaType,omitempty"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type manifest struct {
	MediaType string       `json:"mediaType"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
	Manifests []descriptor `json:"manifests"` // of an index; all are taken
}

// Pull fetches everything the image names and checks it.
func (m Memory) Pull(ctx context.Context, image runtime.Image, src runtime.BlobSource, progress runtime.Progress) error {
	if m.use(image) {
		return nil
	}
	p := &pull{m: m, src: src, who: image.For, progress: progress, parts: make(map[string]int64)}
	if err := p.tree(ctx, descriptor{Digest: image.Digest, Size: image.Size}); err != nil {
		return fmt.Errorf("pull %s: %w", image.Digest, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	who := everybody
	if p.private {
		who = image.For
	}
	image.For = ""
	m.images[image.Digest] = runtime.Kept{Image: image, Used: time.Now(), Parts: p.parts}
	m.ready[of{image.Digest, who}] = true
	return nil
}

// use notes that an image is used, if it is here.
func (m Memory) use(image runtime.Image) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	ok := m.isReady(image)
	if ok {
		k := m.images[image.Digest]
		k.Used = time.Now()
		m.images[image.Digest] = k
	}
	return ok
}

type pull struct {
	m           Memory
	src         runtime.BlobSource
	who         string // it is for
	progress    runtime.Progress
	done, total int64
	parts       map[string]int64
	private     bool // not everybody gets all of it
}

// tree fetches a document and what it names.
func (p *pull) tree(ctx context.Context, d descriptor) error {
	p.total += d.Size
	content, err := p.fetch(ctx, d)
	if err != nil {
		return err
	}
	var doc manifest
	if err := json.Unmarshal(content, &doc); err != nil {
		return fmt.Errorf("%w: %v", runtime.ErrImage, err)
	}
	for _, inner := range doc.Manifests {
		if err := p.tree(ctx, inner); err != nil {
			return err
		}
	}
	if doc.Config.Digest == "" {
		return nil
	}
	parts := append([]descriptor{doc.Config}, doc.Layers...)
	for _, part := range parts {
		p.total += part.Size
	}
	for _, part := range parts {
		if _, err := p.fetch(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (p *pull) open(ctx context.Context, d descriptor, offset int64) (io.ReadCloser, error) {
	if src, ok := p.src.(runtime.LayerSource); ok && d.MediaType == layerType {
		return src.Layer(ctx, d.Digest, d.Size, offset)
	}
	return p.src.Blob(ctx, d.Digest, offset)
}

// fetch goes on with a blob where an earlier Pull stopped.
func (p *pull) fetch(ctx context.Context, d descriptor) ([]byte, error) {
	have, public := p.m.held(d.Digest, p.who)
	if int64(len(have)) < d.Size {
		r, err := p.open(ctx, d, int64(len(have)))
		if err != nil {
			return nil, err
		}
		rest, err := io.ReadAll(io.LimitReader(r, d.Size-int64(len(have))))
		have = append(have[:len(have):len(have)], rest...)
		p.m.hold(d.Digest, p.who, have)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		if int64(len(have)) < d.Size {
			return nil, io.ErrUnexpectedEOF
		}
	}
	if digestOf(have) != d.Digest {
		p.m.hold(d.Digest, p.who, nil)
		return nil, fmt.Errorf("%w: blob %s has digest %s", runtime.ErrImage, d.Digest, digestOf(have))
	}
	if src, ok := p.src.(runtime.PublicSource); !public && ok && src.Public(d.Digest) {
		public = true
		p.m.hold(d.Digest, everybody, have)
	}
	p.private = p.private || !public
	p.done += d.Size
	p.parts[d.Digest] = d.Size
	if p.progress != nil {
		p.progress(p.done, p.total)
	}
	return have, nil
}

// of is content as it is here for somebody.
type of struct{ digest, who string }

// everybody is for whom public content is here.
const everybody = "everybody"

// isReady says whether an image is here for whoever it is for. The caller holds mu.
func (m Memory) isReady(i runtime.Image) bool {
	return m.ready[of{i.Digest, everybody}] || m.ready[of{i.Digest, i.For}]
}

// held is what somebody may have of a blob, and whether everybody may.
func (m Memory) held(digest, who string) (content []byte, public bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if content, public = m.blobs[of{digest, everybody}]; public {
		return content, true
	}
	return m.blobs[of{digest, who}], false
}

func (m Memory) hold(digest, who string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[of{digest, who}] = content
}
