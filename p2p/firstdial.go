package p2p

import (
	"context"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// greet connects to a peer that we begin with, where wanted over QUIC if that works.
// Every other dial prefers TCP, and from TCP alone a node behind a NAT would never learn
// where others see its UDP port, through which most connections are punched. A connection
// that is there already stays as it is.
func (h *Host) greet(ctx context.Context, p peer.AddrInfo, quic bool) error {
	if !quic || h.quicOnly == nil || h.hasPublicAddr() || h.connected(p.ID) {
		return h.host.Connect(ctx, p)
	}
	tried := slices.ContainsFunc(p.Addrs, isPublicQUIC)
	if tried && h.greetQUIC(ctx, p) == nil && h.Route(p.ID).Transport == "quic" {
		return nil
	}
	if err := h.host.Connect(ctx, p); err != nil {
		return err
	}
	// It may have told its QUIC address only now, and others here dial it, too.
	h.awaitIdentified(ctx, p.ID)
	way := h.Route(p.ID)
	if tried || way.Way != WayDirect || way.Transport == "quic" || !slices.ContainsFunc(h.host.Peerstore().Addrs(p.ID), isPublicQUIC) {
		return nil
	}
	if err := h.host.Network().ClosePeer(p.ID); err != nil {
		return err
	}
	if h.greetQUIC(ctx, p) == nil {
		return nil
	}
	return h.host.Connect(ctx, p)
}

// awaitIdentified returns once a connected peer has said who it is and where it listens.
func (h *Host) awaitIdentified(ctx context.Context, id peer.ID) {
	identifies, ok := h.host.(interface{ IDService() identify.IDService })
	if !ok {
		return
	}
	for _, c := range h.host.Network().ConnsToPeer(id) {
		select {
		case <-identifies.IDService().IdentifyWait(c):
		case <-ctx.Done():
		}
	}
}

// greetQUIC connects without TCP.
func (h *Host) greetQUIC(ctx context.Context, p peer.AddrInfo) error {
	h.quicOnly.set(p.ID, true)
	defer h.quicOnly.set(p.ID, false)
	ctx, cancel := context.WithTimeout(ctx, quicTimeout)
	defer cancel()
	return h.host.Connect(ctx, p)
}

// hasPublicAddr says whether this machine has a public address of its own.
func (h *Host) hasPublicAddr() bool {
	own, _ := h.host.Network().InterfaceListenAddresses()
	return slices.ContainsFunc(own, manet.IsPublicAddr)
}

func isPublicQUIC(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_QUIC_V1)
	return err == nil && !isRelayed(a) && manet.IsPublicAddr(a)
}

// quicOnly is a gate that keeps TCP from some peers for the time of one dial. The
// order of addresses is the same for every peer, so it cannot do this.
type quicOnly struct {
	mu    sync.Mutex
	peers map[peer.ID]bool
}

func (q *quicOnly) set(id peer.ID, on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if on {
		q.peers[id] = true
	} else {
		delete(q.peers, id)
	}
}

// InterceptAddrDial implements connmgr.ConnectionGater.
func (q *quicOnly) InterceptAddrDial(id peer.ID, a ma.Multiaddr) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.peers[id] || isPublicQUIC(a)
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (q *quicOnly) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater.
func (q *quicOnly) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (q *quicOnly) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (q *quicOnly) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
