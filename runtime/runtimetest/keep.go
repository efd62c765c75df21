package runtimetest

import (
	"context"
	"fmt"
	"io"
	"maps"

	"github.com/rigmesh/rigmesh/runtime"
)

// Images lists what Pull has finished, and the blobs of what it has not.
func (m Memory) Images(context.Context) ([]runtime.Kept, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []runtime.Kept
	rest := make(map[string]int64)
	for blob, b := range m.blobs {
		rest[blob.digest] = max(rest[blob.digest], int64(len(b)))
	}
	for _, k := range m.images {
		k.Parts = maps.Clone(k.Parts)
		for digest := range k.Parts {
			delete(rest, digest)
		}
		all = append(all, k)
	}
	if len(rest) > 0 {
		all = append(all, runtime.Kept{Parts: rest})
	}
	return all, nil
}

// Forget drops an image and the blobs that no other needs.
func (m Memory) Forget(_ context.Context, image runtime.Image, busy func() bool) (bool, error) {
	m.mu.Lock()
	before := m.images[image.Digest].Used
	m.mu.Unlock()
	wanted := busy()
	m.mu.Lock()
	defer m.mu.Unlock()
	if wanted || !m.images[image.Digest].Used.Equal(before) {
		return false, nil // a pull that ended meanwhile counts
	}
	gone := m.images[image.Digest].Parts
	delete(m.images, image.Digest)
	maps.DeleteFunc(m.ready, func(i of, _ bool) bool { return i.digest == image.Digest })
	maps.DeleteFunc(m.blobs, func(b of, _ []byte) bool {
		_, was := gone[b.digest]
		return was && !m.needed(b.digest)
	})
	return true, nil
}

// needed says whether an image has a blob. The caller holds mu.
func (m Memory) needed(digest string) bool {
	for _, k := range m.images {
		if _, ok := k.Parts[digest]; ok {
			return true
		}
	}
	return false
}

// Held counts the blobs of an image that was pulled; of others nothing is known.
func (m Memory) Held(_ context.Context, image runtime.Image) (have, total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isReady(image) {
		return 0, 0
	}
	for _, size := range m.images[image.Digest].Parts {
		total += size
	}
	return total, total
}

// Blobs are those that pulls have finished.
func (m Memory) Blobs(_ context.Context, who string) (map[string]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]int64)
	for _, k := range m.images {
		maps.Copy(all, k.Parts)
	}
	maps.DeleteFunc(all, func(digest string, size int64) bool {
		return max(len(m.blobs[of{digest, who}]), len(m.blobs[of{digest, everybody}])) < int(size)
	})
	return all, nil
}

// Part reads a blob that is here.
func (m Memory) Part(ctx context.Context, digest string, offset int64) (io.ReadCloser, int64, error) {
	m.mu.Lock()
	var content []byte
	for blob, b := range m.blobs {
		if blob.digest == digest && len(b) > len(content) {
			content = b
		}
	}
	m.mu.Unlock()
	if content == nil {
		return nil, 0, fmt.Errorf("blob %s: %w", digest, runtime.ErrNotFound)
	}
	r, err := Blobs{digest: content}.Blob(ctx, digest, offset)
	return r, int64(len(content)), err
}
