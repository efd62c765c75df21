package p2p

import (
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/config"
	"github.com/libp2p/go-libp2p/core/network"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// NAT is what was seen of the address translation between us and others.
type NAT uint8

// What a NAT can look like from inside.
const (
	// NATUnknown: too few peers told where they see us.
	NATUnknown NAT = iota
	// NATNone: others see an address of this machine.
	NATNone
	// NATSamePort: others see one port, whoever they are; two such nodes can reach
	// each other directly, with a relay's help for the beginning.
	NATSamePort
	// NATPortPerPeer: everybody sees another port, so that nobody can be told which.
	NATPortPerPeer
)

// natView is where others saw our listening ports, by protocol and host of the other.
type natView map[int]map[string]ma.Multiaddr

// observe notes where a peer sees us, and says whether it is the first of its protocol.
// Connections from other ports than those we listen on say nothing about these.
func (v natView) observe(listening []ma.Multiaddr, c network.Conn, seen ma.Multiaddr) (first bool) {
	at := c.RemoteMultiaddr()
	from, ok := hostOf(at)
	if !ok || seen == nil || isRelayed(at) || !manet.IsPublicAddr(at) || !manet.IsPublicAddr(seen) {
		return false
	}
	protocol, port := portOf(c.LocalMultiaddr())
	if !slices.ContainsFunc(listening, func(l ma.Multiaddr) bool { p, n := portOf(l); return p == protocol && n == port }) {
		return false
	}
	if v[protocol] == nil {
		v[protocol] = map[string]ma.Multiaddr{}
	}
	if len(v[protocol]) >= maxHosts {
		return false
	}
	first = len(v[protocol]) == 0
	v[protocol][from] = endpoint(seen)
	return first
}

// kind judges one protocol. own are the addresses of this machine.
func (v natView) kind(protocol int, own []ma.Multiaddr) NAT {
	seen := map[string]bool{}
	for _, a := range v[protocol] {
		if slices.ContainsFunc(own, func(o ma.Multiaddr) bool { return endpoint(o).Equal(a) }) {
			return NATNone
		}
		seen[a.String()] = true
	}
	switch {
	case len(v[protocol]) < 2:
		return NATUnknown
	case len(seen) == 1:
		return NATSamePort
	}
	return NATPortPerPeer
}

// behindNAT says whether somebody saw us at an address that is not of this machine.
func (v natView) behindNAT(own []ma.Multiaddr) bool {
	for _, seen := range v {
		for _, a := range seen {
			h, _ := hostOf(a)
			if !slices.ContainsFunc(own, func(o ma.Multiaddr) bool { mine, _ := hostOf(o); return mine == h }) {
				return true
			}
		}
	}
	return false
}

// endpoint is the host and port of an address.
func endpoint(a ma.Multiaddr) ma.Multiaddr { return a[:min(len(a), 2)] }

// portOf is the protocol and port of an address.
func portOf(a ma.Multiaddr) (protocol int, port string) {
	for _, p := range []int{ma.P_TCP, ma.P_UDP} {
		if v, err := a.ValueForProtocol(p); err == nil {
			return p, v
		}
	}
	return 0, ""
}

// hostOf is the IP address in an address.
func hostOf(a ma.Multiaddr) (string, bool) {
	ip, err := manet.ToIP(a)
	return ip.String(), err == nil
}

// portMapper asks the router to forward our ports, by UPnP or NAT-PMP.
type portMapper struct {
	mu    sync.Mutex
	inner basichost.NATManager
}

// make is libp2p's constructor of NAT managers; we keep what it made, to know later
// which addresses are the router's doing.
func (m *portMapper) make() config.NATManagerC {
	return func(n network.Network) basichost.NATManager {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.inner = basichost.NewNATManager(n)
		return m.inner
	}
}

// addrs are those at which the router forwards to us. m may be nil.
func (m *portMapper) addrs(n network.Network) []ma.Multiaddr {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	inner := m.inner
	m.mu.Unlock()
	if inner == nil {
		return nil
	}
	var out []ma.Multiaddr
	for _, a := range n.ListenAddresses() {
		if mapped := inner.GetMapping(a); mapped != nil {
			out = append(out, mapped)
		}
	}
	return out
}
