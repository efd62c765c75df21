// Package swarm reads what several peers have from all of them at once: the layers of public
// images, and folders that are shared.
//
// Whoever wants a blob checks its digest at the end, as with any source. What is wrong is then
// asked for again, from one source alone; the two are compared part by part, and whoever sent
// a part that differs is asked nothing for a while.
package swarm

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p/blob"
)

// ErrNobody says that no peer that can be asked has the blob.
var ErrNobody = errors.New("no other peer has it")

const (
	// maxMembers bounds how many peers are asked for one image.
	maxMembers = 8
	// search bounds how long peers are looked for.
	search = 10 * time.Second
	// patience is how long the first peer is waited for; another source begins meanwhile to be
	// the better choice.
	patience = 3 * time.Second
	// ban is how long a peer that sent something wrong is asked nothing.
	ban = time.Hour
)

// WorthFinding is how large a layer is, in bytes, that is looked for by its own digest.
const WorthFinding = 8 << 20

// Peer reads parts of the blobs that one peer has: a blob.Remote.
type Peer interface {
	Range(ctx context.Context, digest string, offset, length int64) (blob.Body, error)
	Close() error
}

// Config is what a swarm needs.
type Config struct {
	// Find yields peers that say they have a blob.
	Find func(ctx context.Context, digest string, limit int) iter.Seq[peer.ID]
	// FindLayer is Find for one layer of an image, whatever image a peer has it from; nil:
	// layers are looked for at peers that have the image alone.
	FindLayer func(ctx context.Context, digest string, limit int) iter.Seq[peer.ID]
	// Open makes a way to one peer.
	Open func(peer.ID) Peer
	// Lied is told of a peer that sent something wrong; nil: nobody is.
	Lied func(peer.ID)
	Log  *slog.Logger
}

// Swarm finds peers that have blobs, and remembers those that lied.
type Swarm struct {
	cfg Config

	mu     sync.Mutex
	banned map[peer.ID]time.Time // until then
}

// New makes a swarm. It starts nothing.
func New(cfg Config) *Swarm {
	return &Swarm{cfg: cfg, banned: make(map[peer.ID]time.Time)}
}

// Image begins to look for peers that have an image, or a folder, by its digest. Close it.
func (s *Swarm) Image(digest string) *Image {
	ctx, cancel := context.WithCancel(context.Background())
	i := &Image{swarm: s, ctx: ctx, cancel: cancel, changed: make(chan struct{}), gave: make(map[string]*history), sought: make(map[string]bool)}
	i.look(s.cfg.Find, digest, "")
	return i
}

func (s *Swarm) lied(id peer.ID, digest string) {
	s.mu.Lock()
	_, known := s.banned[id]
	s.banned[id] = time.Now().Add(ban)
	s.mu.Unlock()
	if known {
		return
	}
	s.cfg.Log.Info("a peer sent something else than it was asked for, and is asked no more", "peer", id, "blob", digest, "for", ban)
	if s.cfg.Lied != nil {
		s.cfg.Lied(id)
	}
}

func (s *Swarm) trusts(id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, known := s.banned[id]
	if known && time.Now().After(until) {
		delete(s.banned, id)
		known = false
	}
	return !known
}
