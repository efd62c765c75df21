package p2p

import "github.com/libp2p/go-libp2p/core/peer"

// PunchAgain has a host made elsewhere get around relays by a service, until stop.
func PunchAgain(h *Host, s interface{ DirectConnect(peer.ID) error }) (stop func(), err error) {
	p := newPuncher(h.log)
	p.service = s
	return p.watch(h.host)
}
