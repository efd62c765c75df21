package discovery

import (
	"net/netip"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// The routing table holds at most this many peers of one group of addresses,
// which is a /16 of IPv4 or an autonomous system of IPv6, so that somebody with
// one network and many names cannot fill it. A bucket holds 20 peers.
const (
	perBucket = 3
	perTable  = 10
)

// LocalRanges are loopback, private and link-local addresses. Their peers are
// exempt: with every node on 127.0.0.1, all of them are one group, and a table
// of ten would cut such a network apart. Nobody on the internet can have them.
var LocalRanges = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
}

// diversity goes by the addresses of live connections, which cannot be
// invented. The table also has a check of the addresses that answers contain,
// which is off with any filter but its own: it counts private addresses, and a
// dozen honest nodes that all mention 172.17.0.1 would be dropped together.
type diversity struct {
	peerdiversity.PeerIPGroupFilter
	exempt []netip.Prefix
}

// stand is the group of every exempt address. IPv6 has no group of its own for
// them: groups there are autonomous systems.
var stand = ma.StringCast("/ip4/127.0.0.1")

const standGroup = peerdiversity.PeerIPGroupKey("127.0.0.0")

func newDiversity(h host.Host, exempt []netip.Prefix) *diversity {
	return &diversity{dht.NewRTPeerDiversityFilter(h, perBucket, perTable), exempt}
}

// PeerAddresses puts the stand-in in the place of exempt addresses.
func (d *diversity) PeerAddresses(p peer.ID) []ma.Multiaddr {
	addrs := d.PeerIPGroupFilter.PeerAddresses(p)
	for i, a := range addrs {
		if d.isExempt(a) {
			addrs[i] = stand
		}
	}
	return addrs
}

// Allow passes the exempt and asks the limits about the others.
func (d *diversity) Allow(g peerdiversity.PeerGroupInfo) bool {
	if g.IPGroupKey == standGroup && len(d.exempt) > 0 {
		return true
	}
	return d.PeerIPGroupFilter.Allow(g)
}

func (d *diversity) isExempt(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return false
	}
	for _, p := range d.exempt {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}
