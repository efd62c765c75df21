package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
)

const relayProtocol = proto.ProtoIDv2Hop

const (
	// relayTime is how long one relayed connection may last: a day, as most leases
	// at most. After it the two sides connect anew.
	relayTime = 24 * time.Hour
	// relayPlaces is how many nodes may be reached through us, and how many
	// relayed connections each of them may have.
	relayPlaces, relayCircuits = 1024, 64
	// relayBuffer is what one direction of a relayed connection holds in memory.
	relayBuffer = 16 << 10

	wantedRelays     = 2
	relayRetry       = time.Minute      // after a relay refused
	candidatesEvery  = 5 * time.Second  // between two searches, while short of relays
	candidatesSearch = 30 * time.Second // one search waits for new peers this long
)

// relayOptions let strangers come in through others, and others through us. bytes is
// what one relayed connection may carry each way; 0: we relay nothing.
func relayOptions(r *reach, bytes int64, perIP int) []libp2p.Option {
	opts := []libp2p.Option{
		libp2p.EnableRelay(),
		libp2p.EnableAutoRelayWithPeerSource(r.candidates,
			// The first relay there is, at once: with fewer than four of them libp2p
			// would wait for three minutes.
			autorelay.WithMinCandidates(1), autorelay.WithBootDelay(0), autorelay.WithNumRelays(wantedRelays),
			autorelay.WithBackoff(relayRetry), autorelay.WithMinInterval(candidatesEvery)),
	}
	if bytes == 0 {
		return opts
	}
	limits := relay.DefaultResources()
	limits.Limit = &relay.RelayLimit{Duration: relayTime, Data: bytes}
	limits.MaxReservations, limits.MaxCircuits, limits.BufferSize = relayPlaces, relayCircuits, relayBuffer
	limits.MaxReservationsPerIP, limits.MaxReservationsPerASN = perIP, relayPlaces
	return append(opts, libp2p.EnableRelayService(relay.WithResources(limits), relay.WithACL(newAllowance())))
}

// candidates gives connected peers that relay: those there are, or else the first that
// turns up. libp2p asks again while it is short of relays.
func (r *reach) candidates(ctx context.Context, n int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	go func() {
		defer close(out)
		ctx, cancel := context.WithTimeout(ctx, candidatesSearch)
		defer cancel()
		select {
		case <-r.attached:
			r.findCandidates(ctx, n, out)
		case <-ctx.Done():
		}
	}()
	return out
}

func (r *reach) findCandidates(ctx context.Context, n int, out chan<- peer.AddrInfo) {
	news, err := r.host.EventBus().Subscribe([]any{new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerProtocolsUpdated)},
		eventbus.Name("relay candidates"), eventbus.BufSize(64))
	if err != nil {
		return
	}
	defer news.Close()
	given := 0
	for {
		for _, id := range r.host.Network().Peers() {
			if given == n || !r.offersRelay(id) {
				continue
			}
			select {
			case out <- peer.AddrInfo{ID: id, Addrs: r.host.Peerstore().Addrs(id)}:
				given++
			case <-ctx.Done():
				return
			}
		}
		if given > 0 {
			return
		}
		select {
		case <-news.Out():
		case <-ctx.Done():
			return
		}
	}
}

// offersRelay says whether a peer has said that it relays, and is not reached through a
// relay itself.
func (r *reach) offersRelay(id peer.ID) bool {
	known, err := r.host.Peerstore().SupportsProtocols(id, relayProtocol)
	if err != nil || len(known) == 0 {
		return false
	}
	for _, c := range r.host.Network().ConnsToPeer(id) {
		if !isRelayed(c.RemoteMultiaddr()) {
			return true
		}
	}
	return false
}
