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
	for digest, b := range m.blobs {
		rest[digest] = int64(len(b))
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
	for digest := range gone {
		if !m.needed(digest) {
			delete(m.blobs, digest)
		}
	}
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
	for _, size := range m.images[image.Digest].Parts {
		total += size
	}
	return total, total
}

// Blobs are those that pulls have finished.
func (m Memory) Blobs(context.Context) (map[string]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]int64)
	for _, k := range m.images {
		maps.Copy(all, k.Parts)
	}
	return all, nil
}

// Part reads a blob that is here.
func (m Memory) Part(ctx context.Context, digest string, offset int64) (io.ReadCloser, int64, error) {
	m.mu.Lock()
	content, ok := m.blobs[digest]
	m.mu.Unlock()
	if !ok {
		return nil, 0, fmt.Errorf("blob %s: %w", digest, runtime.ErrNotFound)
	}
	r, err := Blobs{digest: content}.Blob(ctx, digest, offset)
	return r, int64(len(content)), err
}
