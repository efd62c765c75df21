package p2p

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/observedaddrs"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// An address at which two others saw us is taken for ours. libp2p wants four, which
// a young or private network may not have; a false one is found out by the peers
// that are asked to dial it.
func init() { observedaddrs.ActivationThresh = 2 }

// Reach is how a peer that never met this node can come to it.
type Reach uint8

// The ways to come to a node, the best one known counts.
const (
	// ReachUnknown: nobody outside has told yet.
	ReachUnknown Reach = iota
	// ReachPublic: at a public address of its own, which others dialled.
	ReachPublic
	// ReachMapped: at a port of its router, which forwards it on our request.
	ReachMapped
	// ReachOpen: through a NAT that was seen to let strangers in.
	ReachOpen
	// ReachRelayed: through a relay first, and then directly if both NATs let that happen.
	ReachRelayed
	// ReachNone: behind a NAT or firewall, and no relay found yet.
	ReachNone
)

// Reachability is what a node knows of how it is reached.
type Reachability struct {
	Reach  Reach
	Relays []peer.ID // that hold a place for us; none once strangers come without
	Public []string  // addresses at which others dialled us, or saw us
	TCP    NAT
	UDP    NAT
	Serves bool // we relay for others
}

// strangersWanted is how many peers to which we never dialled must have come in
// through a NAT before we believe that everybody can.
const strangersWanted = 2

// reach watches what libp2p finds out about our own addresses, and says the result
// in libp2p's terms, for its relay client and service and the hash table's mode.
//
// AutoNAT alone cannot tell: the peer that it asks to dial us is one that we are
// connected to, and a NAT that filters by address lets that one in and nobody else.
type reach struct {
	attached chan struct{} // closed when host is set
	host     host.Host
	mapper   *portMapper // nil: not asked for
	puncher  *puncher

	mu        sync.Mutex
	said      network.Reachability // last
	reachable []ma.Multiaddr       // others dialled us there
	relays    []ma.Multiaddr       // ours, through relays
	mapping   natView
	dialled   map[string]bool // hosts that our packets have opened the NAT for
	strangers map[string]bool // hosts that came in without
	punches   map[peer.ID]punch
}

func newReach(log *slog.Logger) *reach {
	return &reach{
		attached: make(chan struct{}), puncher: newPuncher(log), mapping: natView{},
		dialled: map[string]bool{}, strangers: map[string]bool{}, punches: map[peer.ID]punch{},
	}
}

// watch follows a host until stop is called.
func (r *reach) watch(h host.Host) (stop func(), err error) {
	sub, err := h.EventBus().Subscribe([]any{
		new(event.EvtHostReachableAddrsChanged), new(event.EvtAutoRelayAddrsUpdated), new(event.EvtPeerIdentificationCompleted),
	}, eventbus.Name("reach"), eventbus.BufSize(256))
	if err != nil {
		return nil, err
	}
	say, err := h.EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful)
	if err != nil {
		return nil, err
	}
	r.host = h
	close(r.attached)
	conns := &network.NotifyBundle{ConnectedF: r.connected, DisconnectedF: r.disconnected}
	h.Network().Notify(conns)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		r.follow(ctx, sub, say)
	}()
	return func() {
		cancel()
		<-done
		h.Network().StopNotify(conns)
		_ = sub.Close() // nobody is left to read from it
		_ = say.Close()
	}, nil
}

func (r *reach) follow(ctx context.Context, sub event.Subscription, say event.Emitter) {
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			r.heed(e)
		}
		if now := r.verdict(); r.news(now) {
			_ = say.Emit(event.EvtLocalReachabilityChanged{Reachability: now}) // fails only once closed
		}
	}
}

// news keeps a verdict, and says whether it is another than the last.
func (r *reach) news(now network.Reachability) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := now != r.said
	r.said = now
	return changed
}

func (r *reach) heed(e any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := e.(type) {
	case event.EvtHostReachableAddrsChanged:
		r.reachable = slices.Clone(e.Reachable)
	case event.EvtAutoRelayAddrsUpdated:
		r.relays = slices.Clone(e.RelayAddrs)
	case event.EvtPeerIdentificationCompleted:
		if r.mapping.observe(r.host.Network().ListenAddresses(), e.Conn, e.ObservedAddr) {
			maps.DeleteFunc(r.punches, func(_ peer.ID, p punch) bool { return !p.done }) // in vain without it says nothing
			r.puncher.seen()
		}
	}
}

// connected tells strangers from those whose way in we opened ourselves.
func (r *reach) connected(n network.Network, c network.Conn) {
	at := c.RemoteMultiaddr()
	from, ok := hostOf(at)
	if !ok || isRelayed(at) || !manet.IsPublicAddr(at) {
		return
	}
	viaRelay := slices.ContainsFunc(n.ConnsToPeer(c.RemotePeer()), func(other network.Conn) bool { return isRelayed(other.RemoteMultiaddr()) })
	r.mu.Lock()
	defer r.mu.Unlock()
	if viaRelay {
		r.punches[c.RemotePeer()] = r.punches[c.RemotePeer()].through()
	}
	known := r.dialled
	if c.Stat().Direction == network.DirInbound && !viaRelay && !r.dialled[from] {
		known = r.strangers
	}
	if len(known) < maxHosts {
		known[from] = true
	}
}

// maxHosts bounds the hosts we remember.
const maxHosts = 4096

func (r *reach) disconnected(n network.Network, c network.Conn) {
	if n.Connectedness(c.RemotePeer()) == network.NotConnected {
		r.mu.Lock()
		delete(r.punches, c.RemotePeer())
		r.mu.Unlock()
	}
}

// verdict is what libp2p's parts are told. With Private they keep places at relays
// and ask the hash table without serving it.
func (r *reach) verdict() network.Reachability {
	switch r.how() {
	case ReachPublic, ReachMapped, ReachOpen:
		return network.ReachabilityPublic
	case ReachUnknown:
		return network.ReachabilityUnknown
	default:
		return network.ReachabilityPrivate
	}
}

func (r *reach) how() Reach {
	own, _ := r.host.Network().InterfaceListenAddresses()
	mapped := r.mapper.addrs(r.host.Network())
	r.mu.Lock()
	defer r.mu.Unlock()
	// A stranger that came to an address of this machine tells as much as a peer that
	// was asked to, and sooner: libp2p wants three of those, and asks each every two minutes.
	if len(r.strangers) > 0 && slices.ContainsFunc(own, manet.IsPublicAddr) {
		return ReachPublic
	}
	best := ReachNone
	for _, a := range r.reachable {
		switch {
		case ma.Contains(own, a):
			return ReachPublic
		case ma.Contains(mapped, a):
			best = ReachMapped
		case best != ReachMapped && len(r.strangers) >= strangersWanted:
			best = ReachOpen
		}
	}
	switch {
	case best != ReachNone:
		return best
	case len(r.relays) > 0:
		return ReachRelayed
	case r.mapping.behindNAT(own):
		return ReachNone
	}
	return ReachUnknown
}

// advertise is libp2p's AddrsFactory. libp2p hides our places at relays as soon as one
// peer reached us directly, and we keep them until strangers do. What others merely saw
// of us is left out meanwhile: to dial it is in vain, and worse, a NAT that has seen
// such an attempt mistakes the next for a part of it, which is to punch through.
func (r *reach) advertise(addrs []ma.Multiaddr) []ma.Multiaddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said != network.ReachabilityPrivate || len(r.relays) == 0 {
		return addrs
	}
	sure := append(r.mapper.addrs(r.host.Network()), r.reachable...)
	kept := slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		return manet.IsPublicAddr(a) && !isRelayed(a) && !ma.Contains(sure, a)
	})
	return ma.Unique(append(kept, r.relays...))
}

// Reachability says how strangers come to this node.
func (h *Host) Reachability() Reachability {
	r := h.reach
	if r == nil {
		return Reachability{}
	}
	out := Reachability{Reach: r.how(), Serves: slices.Contains(r.host.Mux().Protocols(), relayProtocol)}
	for _, a := range r.host.Addrs() {
		if !isRelayed(a) && manet.IsPublicAddr(a) {
			out.Public = append(out.Public, a.String())
		}
	}
	own, _ := r.host.Network().InterfaceListenAddresses()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.relays {
		if r.said == network.ReachabilityPublic {
			break // libp2p gave its places up, and said nothing of it
		}
		if id, ok := relayOf(a); ok && !slices.Contains(out.Relays, id) {
			out.Relays = append(out.Relays, id)
		}
	}
	out.TCP, out.UDP = r.mapping.kind(ma.P_TCP, own), r.mapping.kind(ma.P_UDP, own)
	return out
}
