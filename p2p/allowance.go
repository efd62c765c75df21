package p2p

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// relayConnects is how many relayed connections one address may begin at once. Each
	// is cut after its bytes, and whoever is cut off may begin another.
	relayConnects = 256
	// relayConnectsPerHour is how many come back in an hour.
	relayConnectsPerHour = 64
)

// allowance bounds what strangers get out of a relay in the long run: the limit of one
// connection alone would not, as nobody is kept from beginning the next.
type allowance struct{ limiter rate.SubnetLimiter }

func newAllowance() *allowance {
	one := rate.Limit{RPS: relayConnectsPerHour / time.Hour.Seconds(), Burst: relayConnects}
	return &allowance{limiter: rate.SubnetLimiter{
		IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: one}},
		IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: one}},
	}}
}

// AllowReserve implements relay.ACLFilter. Places are bounded by their number.
func (a *allowance) AllowReserve(peer.ID, ma.Multiaddr) bool { return true }

// AllowConnect implements relay.ACLFilter.
func (a *allowance) AllowConnect(_ peer.ID, from ma.Multiaddr, _ peer.ID) bool {
	ip, err := manet.ToIP(from)
	if err != nil {
		return false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return ok && (ip.IsLoopback() || a.limiter.Allow(addr.Unmap(), time.Now()))
}
