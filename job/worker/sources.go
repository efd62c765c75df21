package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// sources are where an image's blobs come from. What a public image is made of is asked of
// its registry, its layers of other workers first. A registry that fails once is not asked
// again: one that is slow to fail must not be asked for every layer. What nobody else gives
// the requester does.
type sources struct {
	requester runtime.BlobSource
	peers     SwarmImage           // nil: not asked
	image     string               // its digest
	proven    bool                 // its registry, and nobody else, has to give what the digest is of
	tell      func(*leasev1.Layer) // of a layer on its way; nil: nobody is told

	mu       sync.Mutex
	registry RegistryImage             // nil: not, or no longer, asked
	gave     map[string]leasev1.Origin // by digest, the last
	lately   bool                      // others than the requester gave something since again was asked
}

var (
	_ runtime.LayerSource  = (*sources)(nil)
	_ runtime.PublicSource = (*sources)(nil)
)

// openSources opens those of an image. registry and swarm may be nil.
func openSources(registry Registry, swarm Swarm, image *marketv1.Image, requester runtime.BlobSource) *sources {
	s := &sources{requester: requester, image: image.GetDigest(), gave: make(map[string]leasev1.Origin)}
	if !image.GetPublic() {
		return s
	}
	if registry != nil {
		if r, err := registry.Image(image.GetName()); err == nil { // a name that is none: the requester has the image
			s.registry = r
		}
	}
	if swarm != nil {
		s.peers = swarm.Image(image.GetDigest())
	}
	return s
}

// Blob implements runtime.BlobSource.
func (s *sources) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	s.repeated(digest, offset)
	return s.elsewhere(ctx, digest, offset)
}

// Layer implements runtime.LayerSource.
func (s *sources) Layer(ctx context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	body, err := s.layer(ctx, digest, size, offset)
	if err != nil || s.tell == nil {
		return body, err
	}
	w := &watchedLayer{body, s, digest, offset, size}
	w.told()
	return w, nil
}

func (s *sources) layer(ctx context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	s.repeated(digest, offset)
	if s.peers == nil {
		return s.elsewhere(ctx, digest, offset)
	}
	body, err := s.peers.Layer(ctx, digest, size, offset)
	if err == nil {
		s.note(digest, leasev1.Origin_ORIGIN_PEERS)
		return &relay{ReadCloser: body, off: offset, next: func(off int64) (io.ReadCloser, error) {
			return s.watched(ctx, digest, size, off)
		}}, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	return s.watched(ctx, digest, size, offset)
}

// watched is a layer that no peer gives, while the peers' side looks on.
func (s *sources) watched(ctx context.Context, digest string, size, offset int64) (io.ReadCloser, error) {
	body, err := s.elsewhere(ctx, digest, offset)
	if err != nil {
		return nil, err
	}
	return s.peers.Elsewhere(digest, size, offset, body), nil
}

// elsewhere is a blob from the registry, or from the requester.
func (s *sources) elsewhere(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	r := s.registry
	s.mu.Unlock()
	if r != nil {
		body, err := r.Blob(ctx, digest, offset)
		if err == nil {
			s.note(digest, leasev1.Origin_ORIGIN_REGISTRY)
			return &guarded{body, s}, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		s.drop(err)
	}
	if s.proven && digest == s.image {
		return nil, fmt.Errorf("%w: the owner of this worker wants it from the registry of its name, which does not give it", runtime.ErrImage)
	}
	s.note(digest, leasev1.Origin_ORIGIN_REQUESTER)
	return s.requester.Blob(ctx, digest, offset)
}

func (s *sources) note(digest string, from leasev1.Origin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gave[digest] = from
	s.lately = s.lately || from != leasev1.Origin_ORIGIN_REQUESTER
}

// Public implements runtime.PublicSource: what a registry gives without credentials, or another
// worker without a lease, anybody gets there.
func (s *sources) Public(digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.public(digest)
}

// public is Public. The caller holds mu.
func (s *sources) public(digest string) bool {
	from := s.gave[digest]
	return from == leasev1.Origin_ORIGIN_REGISTRY || from == leasev1.Origin_ORIGIN_PEERS
}

// repeated looks at a request from a blob's beginning: the runtime makes a second one of a
// blob only when what it got was wrong, or never began.
func (s *sources) repeated(digest string, offset int64) {
	s.mu.Lock()
	wrong := offset == 0 && s.gave[digest] == leasev1.Origin_ORIGIN_REGISTRY
	s.mu.Unlock()
	if wrong {
		s.drop(errWrong)
	}
}

var errWrong = errors.New("it gave something else than was asked for")

// again says whether a pull that found the image unusable is worth another: others than the
// requester gave some of it, and may have given something wrong.
func (s *sources) again() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.lately
	s.lately = false
	return was
}

// good says that the image is what it should be, and gives those of its blobs that anybody
// gets; none unless its registry said so of the image itself.
func (s *sources) good(image string) []string {
	if s.peers != nil {
		s.peers.Good()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gave[image] != leasev1.Origin_ORIGIN_REGISTRY {
		return nil
	}
	var public []string
	for digest := range s.gave {
		if s.public(digest) {
			public = append(public, digest)
		}
	}
	return public
}

// drop asks the registry no more. Only err counts that says something of the registry: not
// the end of our own patience.
func (s *sources) drop(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.registry == nil || errors.Is(err, context.Canceled) {
		return
	}
	_ = s.registry.Close()
	s.registry = nil
}

func (s *sources) Close() {
	s.drop(nil)
	if s.peers != nil {
		_ = s.peers.Close()
	}
}

// guarded is a blob on its way from the registry. What breaks off goes on at the requester.
type guarded struct {
	io.ReadCloser
	s *sources
}

func (g *guarded) Read(p []byte) (int, error) {
	n, err := g.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		g.s.drop(err)
	}
	return n, err
}

// watchedLayer tells how far a layer is, and where it comes from by now.
type watchedLayer struct {
	io.ReadCloser
	s         *sources
	digest    string
	off, size int64
}

func (w *watchedLayer) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.off += int64(n)
	w.told()
	return n, err
}

func (w *watchedLayer) told() {
	w.s.mu.Lock()
	from := w.s.gave[w.digest]
	w.s.mu.Unlock()
	w.s.tell(&leasev1.Layer{Digest: w.digest, DoneBytes: uint64(w.off), TotalBytes: uint64(w.size), Origin: from})
}

// relay is a layer on its way from peers. What breaks off goes on elsewhere at once.
type relay struct {
	io.ReadCloser
	off  int64
	next func(off int64) (io.ReadCloser, error) // nil: used up
}

func (r *relay) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.off += int64(n)
	if err == nil || err == io.EOF || n > 0 || r.next == nil {
		return n, err
	}
	body, nerr := r.next(r.off)
	r.next = nil
	if nerr != nil {
		return 0, errors.Join(err, nerr)
	}
	_ = r.ReadCloser.Close()
	r.ReadCloser = body
	return r.Read(p)
}
