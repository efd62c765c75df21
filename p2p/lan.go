package p2p

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// lan connects to nodes of the same network that multicast DNS finds nearby.
type lan struct {
	ctx context.Context
	h   *Host
}

// findNearby looks for nodes on the local networks, and lets them find us, until stop
// is called. A machine without multicast has none.
func (h *Host) findNearby(ctx context.Context) (stop func()) {
	if !h.mdns || h.LoopbackOnly() {
		return func() {}
	}
	service := mdns.NewMdnsService(h.host, fmt.Sprintf("_rigmesh-%s._udp", h.network), lan{ctx, h})
	if err := service.Start(); err != nil {
		h.log.Info("nodes on the local network are not looked for", "err", err)
	}
	return func() { _ = service.Close() } // it only ends goroutines
}

// HandlePeerFound implements mdns.Notifee; it may block.
func (l lan) HandlePeerFound(p peer.AddrInfo) {
	if l.h.connected(p.ID) || len(l.h.Peers()) >= l.h.maxConns {
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, dialTimeout)
	defer cancel()
	if err := l.h.host.Connect(ctx, p); err != nil {
		l.h.log.Debug("node on the local network not reached", "peer", p.ID, "err", err)
	}
}

// LoopbackOnly says whether nobody outside this machine can come to us.
func (h *Host) LoopbackOnly() bool {
	for _, a := range h.host.Network().ListenAddresses() {
		if !isRelayed(a) && !manet.IsIPLoopback(a) {
			return false
		}
	}
	return true
}

// onLoopback is LoopbackOnly for addresses that are not yet listened on.
func onLoopback(listen []string) bool {
	for _, text := range listen {
		if a, err := ma.NewMultiaddr(text); err != nil || !manet.IsIPLoopback(a) {
			return false
		}
	}
	return true
}
