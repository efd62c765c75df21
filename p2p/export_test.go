package p2p

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"
)

// PunchAgain has a host made elsewhere get around relays by a service, until stop.
func PunchAgain(h *Host, s interface{ DirectConnect(peer.ID) error }) (stop func(), err error) {
	p := newPuncher(h.log)
	p.service = s
	return p.watch(h.host)
}

// Nudged says whether Run was to look for peers since the last time it was asked.
func Nudged(h *Host) bool {
	select {
	case <-h.alone:
		return true
	default:
		return false
	}
}

// GreetOverQUIC has a host made elsewhere begin with a peer, over QUIC if that works.
func GreetOverQUIC(ctx context.Context, h *Host, p peer.AddrInfo) error {
	h.quicOnly = &quicOnly{peers: map[peer.ID]bool{}}
	return h.greet(ctx, p, true)
}
