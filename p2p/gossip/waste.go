package gossip

import (
	"math"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Wasted messages are well-formed, and nobody had a use for them: more announcements
// than a peer may make. A few are forgiven; beyond that each costs a point, so that
// a flood of a hundred a second is graylisted within five seconds, and heard again
// some forty minutes after it has ended.
//
// Whoever reaches the graylist is sent down as far again: at the edge of it a peer would
// be heard once a second, as one point was forgotten.
const (
	wasteForgiven = 50
	wasteHalves   = 10 * time.Minute // how long it takes for half of it to be forgotten
	wastePeers    = 4096             // remembered
	wasteFlood    = wasteForgiven - graylistThreshold
)

// waste counts what peers wasted.
type waste struct {
	now func() time.Time
	mu  sync.Mutex
	by  *lru.Cache[peer.ID, wasted]
}

type wasted struct {
	n  float64
	at time.Time
}

func newWaste() *waste {
	by, err := lru.New[peer.ID, wasted](wastePeers)
	if err != nil {
		panic(err) // only a size below one
	}
	return &waste{now: time.Now, by: by}
}

// left is what is not forgotten yet.
func (w wasted) left(now time.Time) float64 {
	return w.n * math.Exp2(-float64(now.Sub(w.at))/float64(wasteHalves))
}

func (w *waste) note(id peer.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	have, _ := w.by.Peek(id)
	n := have.left(now) + 1
	if n > wasteFlood && n <= wasteFlood+1 {
		n *= 2
	}
	w.by.Add(id, wasted{n, now})
}

// score is what a peer's waste takes from its score.
func (w *waste) score(id peer.ID) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	have, _ := w.by.Peek(id)
	return -max(0, have.left(w.now())-wasteForgiven)
}
