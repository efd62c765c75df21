package p2p

import (
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Origins are the blocks of public addresses that a connected peer comes from: /24
// of IPv4, /56 of IPv6, which is about what one customer of a provider has at most. A
// relayed connection tells nothing, and a local address is everybody's.
func (h *Host) Origins(id peer.ID) []netip.Prefix {
	var out []netip.Prefix
	for _, c := range h.host.Network().ConnsToPeer(id) {
		if block, ok := blockOf(c.RemoteMultiaddr()); ok && !slices.Contains(out, block) {
			out = append(out, block)
		}
	}
	return out
}

func blockOf(a ma.Multiaddr) (netip.Prefix, bool) {
	if _, err := a.ValueForProtocol(ma.P_CIRCUIT); err == nil || !manet.IsPublicAddr(a) {
		return netip.Prefix{}, false
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.Prefix{}, false
	}
	bits := 56
	if addr = addr.Unmap(); addr.Is4() {
		bits = 24
	}
	block, err := addr.Prefix(bits)
	return block, err == nil
}
