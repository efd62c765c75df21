package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// punchLook is how often somebody who waits looks whether attempts have failed.
const punchLook = 100 * time.Millisecond

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
	case h.reach.punched(id):
		r.Way = WayPunched
	}
	return r
}

// punch is what came of attempts to get around a relay.
type punch struct {
	attempts int
	done     bool // there was a relayed connection when the direct one came
	reversed bool // which is because this node or the peer could be dialled
	failed   bool // enough was tried for nobody to wait for more
}

func (p punch) through() punch {
	p.done, p.failed = true, false
	return p
}

// punchAttempts is how many libp2p makes at a time. An error of the protocol is none: one
// of the two does not know yet where it is seen.
const punchAttempts = 3

// Trace implements holepunch.EventTracer.
func (r *reach) Trace(e *holepunch.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.punches[e.Remote]
	switch evt := e.Evt.(type) {
	case *holepunch.HolePunchAttemptEvt:
		p.attempts++
	case *holepunch.DirectDialEvt:
		p.reversed = p.reversed || evt.Success
	case *holepunch.EndHolePunchEvt:
		p.failed = !p.done && p.attempts >= punchAttempts
	}
	r.punches[e.Remote] = p
}

// punched says whether the direct connection to a peer goes through two NATs.
func (r *reach) punched(id peer.ID) bool {
	p := r.punch(id)
	return p.done && !p.reversed && r.verdict() != network.ReachabilityPublic
}

func (r *reach) punch(id peer.ID) punch {
	if r == nil {
		return punch{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.punches[id]
}

// AwaitDirect returns once a peer that is reached through a relay is reached
// directly, or cannot be, or with ctx. It returns at once for all others.
func (h *Host) AwaitDirect(ctx context.Context, id peer.ID) {
	changed, err := h.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.Name("await direct"))
	if err != nil {
		return
	}
	defer changed.Close()
	tick := time.NewTicker(punchLook)
	defer tick.Stop()
	for h.host.Network().Connectedness(id) == network.Limited && !h.reach.punch(id).failed {
		select {
		case <-changed.Out():
		case <-tick.C:
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
