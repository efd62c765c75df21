package worker

import (
	"context"
	"errors"
	"io"
	"sync"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// sources are where an image's blobs come from: its registry until that fails once, then the
// requester. A registry that is slow to fail must not be asked for every layer.
type sources struct {
	requester runtime.BlobSource

	mu       sync.Mutex
	registry RegistryImage // nil: not, or no longer, asked
}

func openSources(from Registry, image *marketv1.Image, requester runtime.BlobSource) *sources {
	s := &sources{requester: requester}
	if from == nil || !image.GetPublic() {
		return s
	}
	if r, err := from.Image(image.GetName()); err == nil { // a name that is none: the requester has the image
		s.registry = r
	}
	return s
}

// Blob implements runtime.BlobSource.
func (s *sources) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	r := s.registry
	s.mu.Unlock()
	if r == nil {
		return s.requester.Blob(ctx, digest, offset)
	}
	body, err := r.Blob(ctx, digest, offset)
	if err == nil {
		return &watched{body, s}, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	s.drop(err)
	return s.requester.Blob(ctx, digest, offset)
}

// drop asks the registry no more, and says whether it was asked until now. Only err counts
// that says something of the registry: not the end of our own patience.
func (s *sources) drop(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.registry == nil || errors.Is(err, context.Canceled) {
		return false
	}
	_ = s.registry.Close()
	s.registry = nil
	return true
}

func (s *sources) Close() {
	s.drop(nil)
}

// watched is a blob on its way from the registry. What breaks off goes on at the requester.
type watched struct {
	io.ReadCloser
	s *sources
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		w.s.drop(err)
	}
	return n, err
}
