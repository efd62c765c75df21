package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// tcpHeadStart is how long TCP addresses are tried alone.
const tcpHeadStart = 250 * time.Millisecond

// rankTCPFirst orders dials so that TCP with TLS wins where it works: it moves
// bulk data almost twice as fast as QUIC for less CPU. The rest, QUIC first,
// follow shortly, for networks that pass only UDP. Simultaneous dials for hole
// punching do not ask the ranker.
func rankTCPFirst(addrs []ma.Multiaddr) []network.AddrDelay {
	var tcp, rest []ma.Multiaddr
	for _, a := range addrs {
		if isDirectTCP(a) {
			tcp = append(tcp, a)
		} else {
			rest = append(rest, a)
		}
	}
	ranked := swarm.DefaultDialRanker(tcp)
	for _, d := range swarm.DefaultDialRanker(rest) {
		if len(tcp) > 0 {
			d.Delay += tcpHeadStart
		}
		ranked = append(ranked, d)
	}
	return ranked
}

func isDirectTCP(a ma.Multiaddr) bool {
	tcp := false
	for _, c := range a {
		switch c.Protocol().Code {
		case ma.P_TCP:
			tcp = true
		case ma.P_CIRCUIT:
			return false
		}
	}
	return tcp
}
