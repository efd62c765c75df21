package p2p

import (
	"context"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Way is how a connection to a peer came about.
type Way uint8

// The ways to a peer.
const (
	WayNone    Way = iota // not connected
	WayLocal              // inside one network, or one machine
	WayDirect             // one dialled the other
	WayPunched            // both dialled at the same moment, through their NATs
	WayRelayed            // through a third
)

// Route is how a peer is reached now.
type Route struct {
	Way       Way
	Via       peer.ID // the relay
	Inbound   bool    // the peer dialled us
	Transport string  // "tcp" or "quic"; of the relay when there is one
}

// Route says how a peer is reached, by the best connection to it.
func (h *Host) Route(id peer.ID) Route {
	var best network.Conn
	for _, c := range h.host.Network().ConnsToPeer(id) {
		if best == nil || isRelayed(best.RemoteMultiaddr()) {
			best = c
		}
	}
	if best == nil {
		return Route{}
	}
	at := best.RemoteMultiaddr()
	r := Route{Way: WayDirect, Inbound: best.Stat().Direction == network.DirInbound, Transport: "tcp"}
	if _, err := at.ValueForProtocol(ma.P_UDP); err == nil {
		r.Transport = "quic"
	}
	relay, relayed := relayOf(at)
	switch {
	case relayed:
		r.Way, r.Via = WayRelayed, relay
	case !manet.IsPublicAddr(at):
		r.Way = WayLocal
	case h.reach.wasPunched(id):
		r.Way = WayPunched
	}
	return r
}

// Trace implements holepunch.EventTracer.
func (r *reach) Trace(e *holepunch.Event) {
	if end, ok := e.Evt.(*holepunch.EndHolePunchEvt); ok && end.Success {
		r.mu.Lock()
		r.punched[e.Remote] = true
		r.mu.Unlock()
	}
}

func (r *reach) wasPunched(id peer.ID) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.punched[id]
}

// AwaitDirect returns once a peer that is reached through a relay is reached
// directly, or with ctx. It returns at once for all others.
func (h *Host) AwaitDirect(ctx context.Context, id peer.ID) {
	changed, err := h.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.Name("await direct"))
	if err != nil {
		return
	}
	defer changed.Close()
	for h.host.Network().Connectedness(id) == network.Limited {
		select {
		case <-changed.Out():
		case <-ctx.Done():
			return
		}
	}
}

func isRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// relayOf is the relay that an address leads through.
func relayOf(a ma.Multiaddr) (peer.ID, bool) {
	before, after := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
	if len(after) == 0 {
		return "", false
	}
	_, id := peer.SplitAddr(before)
	return id, id != ""
}
