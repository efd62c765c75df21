package node

import (
	"context"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// What one peer may ask of the market's streams: so many a second, and at once. A
// requester of many jobs asks a worker once for each; a miner's rigs are peers of
// their own.
const (
	askRate   = rate.Limit(20)
	askBurst  = 100
	ratePeers = 4096 // remembered
)

var errTooOften = errors.New("this peer asks too often")

// rates bound what peers ask of this node, before anything they say is looked at.
type rates struct {
	now func() time.Time
	by  *lru.Cache[peer.ID, *rate.Limiter]
}

func newRates(now func() time.Time) *rates {
	by, err := lru.New[peer.ID, *rate.Limiter](ratePeers)
	if err != nil {
		panic(err) // only a size below one
	}
	return &rates{now, by}
}

func (r *rates) allow(from peer.ID) bool {
	l, ok := r.by.Get(from)
	if !ok {
		l = rate.NewLimiter(askRate, askBurst)
		r.by.Add(from, l)
	}
	return l.AllowN(r.now(), 1)
}

// limited is a stream's handler for peers that do not ask too often.
func limited[Q, R any](n *Node, handle func(context.Context, peer.ID, Q) (R, error)) func(context.Context, peer.ID, Q) (R, error) {
	return func(ctx context.Context, from peer.ID, req Q) (R, error) {
		if !n.rates.allow(from) {
			var none R
			return none, errTooOften
		}
		return handle(ctx, from, req)
	}
}
