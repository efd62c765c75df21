package p2p

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	firstRetry   = time.Second
	lastRetry    = time.Minute
	dialTimeout  = 15 * time.Second
	quicTimeout  = 4 * time.Second // of it, where UDP does not pass
	enoughPeers  = 4               // with this many connections a missing bootstrap peer is not missed
	checkSettled = time.Minute
)

// Run connects to the bootstrap peers and again whenever the node is short of
// peers, with a growing pause between attempts, until ctx ends. Not reaching
// anybody is never an error: the network may simply not be there yet.
func (h *Host) Run(ctx context.Context) error {
	defer h.findNearby(ctx)()
	pause := firstRetry
	met := make(map[peer.ID]bool)
	for {
		missing := h.missing(met)
		h.dialAll(ctx, missing, met)
		wait := checkSettled
		if len(h.missing(met)) > 0 {
			wait = pause + rand.N(pause/2)
			pause = min(2*pause, lastRetry)
		} else {
			pause = firstRetry
		}
		if !h.sleep(ctx, wait) {
			return nil
		}
	}
}

// missing are the bootstrap peers worth dialling now: those that Run has not met, and,
// when we have few connections, all that are not connected.
func (h *Host) missing(met map[peer.ID]bool) []peer.AddrInfo {
	few := len(h.Peers()) < enoughPeers
	var out []peer.AddrInfo
	for _, p := range h.Bootstrap() {
		if p.ID != h.ID() && (!met[p.ID] || few && !h.connected(p.ID)) {
			out = append(out, p)
		}
	}
	return out
}

func (h *Host) dialAll(ctx context.Context, peers []peer.AddrInfo, met map[peer.ID]bool) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			h.Hasten(p.ID) // we pause between attempts ourselves, and less when somebody waits for it: see Join
			if err := h.greet(ctx, p, i%2 == 0); err != nil {
				h.log.Debug("bootstrap peer not reached", "peer", p.ID, "err", err)
				return
			}
			h.log.Debug("bootstrap peer connected", "peer", p.ID)
			mu.Lock()
			met[p.ID] = true
			mu.Unlock()
		})
	}
	wg.Wait()
}

// sleep waits for d, or less when a peer is missed or Join added some, and is
// false when ctx ended. Either shortens the wait only to the first pause: a bootstrap
// peer that drops us at once must not be dialled in a tight loop.
func (h *Host) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	started := time.Now()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-h.alone:
			timer.Reset(min(d, firstRetry) - min(time.Since(started), min(d, firstRetry)))
		}
	}
}
