package p2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

var (
	// ErrUnreachable says that no connection to the peer could be made.
	ErrUnreachable = errors.New("peer unreachable")
	// ErrSelf says that a node was asked to dial itself, which libp2p cannot.
	ErrSelf = errors.New("that peer is this node")
)

// Lookup finds a peer's current addresses in the network.
type Lookup func(context.Context, peer.ID) (peer.AddrInfo, error)

// UseLookup names where Connect asks about peers whose addresses are unknown
// or no longer work.
func (h *Host) UseLookup(f Lookup) {
	h.mu.Lock()
	h.lookup = f
	h.mu.Unlock()
}

// Connect makes sure of a connection to a peer: the one there is, then the
// addresses known, then those the network knows. An error is ErrSelf or ErrUnreachable.
func (h *Host) Connect(ctx context.Context, id peer.ID) error {
	if id == h.ID() {
		return ErrSelf
	}
	if h.connected(id) {
		return nil
	}
	ctx = network.WithAllowLimitedConn(ctx, "connect") // through a relay is a way, too
	err := errors.New("no address known")
	if len(h.host.Peerstore().Addrs(id)) > 0 {
		if err = h.host.Connect(ctx, peer.AddrInfo{ID: id}); err == nil {
			return nil
		}
	}
	h.mu.Lock()
	lookup := h.lookup
	h.mu.Unlock()
	if lookup == nil || ctx.Err() != nil {
		return fmt.Errorf("connect to %s: %w: %w", id, ErrUnreachable, err)
	}
	info, lerr := lookup(ctx, id)
	if lerr != nil {
		return fmt.Errorf("connect to %s: %w: %w; look up: %w", id, ErrUnreachable, err, lerr)
	}
	if err := h.host.Connect(ctx, info); err != nil {
		return fmt.Errorf("connect to %s: %w: %w", id, ErrUnreachable, err)
	}
	return nil
}

// ConnectAddr connects to a multiaddr that ends in /p2p/ID, at once: a person
// asked, so earlier failures do not delay it.
func (h *Host) ConnectAddr(ctx context.Context, addr string) (peer.ID, error) {
	a, err := ma.NewMultiaddr(addr)
	if err != nil {
		return "", fmt.Errorf("connect to %q: %w", addr, err)
	}
	info, err := peer.AddrInfoFromP2pAddr(a)
	if err != nil {
		return "", fmt.Errorf("connect to %q: %w", addr, err)
	}
	if info.ID == h.ID() {
		return info.ID, ErrSelf
	}
	h.Hasten(info.ID)
	if err := h.host.Connect(ctx, *info); err != nil {
		return info.ID, fmt.Errorf("connect to %s: %w: %w", addr, ErrUnreachable, err)
	}
	return info.ID, nil
}

// Hasten lets the next dial of a peer happen at once, however many failed: after half an hour of them
// libp2p would wait for minutes. It is for callers that space out their attempts themselves.
func (h *Host) Hasten(id peer.ID) {
	if s, ok := h.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(id)
	}
}

// Ping measures one round trip to a peer, connecting first if need be.
func (h *Host) Ping(ctx context.Context, id peer.ID) (time.Duration, error) {
	if err := h.Connect(ctx, id); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	select {
	case r := <-ping.Ping(ctx, h.host, id):
		if r.Error != nil {
			return 0, fmt.Errorf("ping %s: %w", id, r.Error)
		}
		return r.RTT, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("ping %s: %w", id, ctx.Err())
	}
}

// Speakers are the connected peers that speak one of our protocols, as far as they
// have said so.
func (h *Host) Speakers(name string) []peer.ID {
	var out []peer.ID
	for _, id := range h.Peers() {
		if known, err := h.host.Peerstore().SupportsProtocols(id, h.Protocol(name)); err == nil && len(known) > 0 {
			out = append(out, id)
		}
	}
	return out
}

// Protect keeps the connection to a peer from being closed for those of others, until it is
// released. Whoever protects says what for, such as a lease's id: of two with the same
// tag the first release counts.
func (h *Host) Protect(id peer.ID, tag string) (release func()) {
	h.host.ConnManager().Protect(id, tag)
	return func() { h.host.ConnManager().Unprotect(id, tag) }
}

// Direct says whether there is a connection to a peer that no relay carries.
func (h *Host) Direct(id peer.ID) bool {
	return h.host.Network().Connectedness(id) == network.Connected
}

func (h *Host) connected(id peer.ID) bool {
	switch h.host.Network().Connectedness(id) {
	case network.Connected, network.Limited:
		return true
	}
	return false
}
