// Package p2ptest makes hosts for tests: simulated ones, whose network and time
// are a synctest bubble's, and real ones on loopback.
package p2ptest

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	goruntime "runtime"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/rigmesh/rigmesh/p2p"
)

// Network is the name of the networks made here.
const Network = "test"

// Bubble runs a test in a synctest bubble, for Simulated hosts. In it there are
// no real sockets, and everything started must have ended when f returns: close
// what Cleanup does not.
func Bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if raceEnabled {
		// Bubbles with many goroutines are not safe under the race detector
		// with several threads: golang/go#78156.
		before := goruntime.GOMAXPROCS(1)
		t.Cleanup(func() { goruntime.GOMAXPROCS(before) })
	}
	synctest.Test(t, f)
}

// Link is what every simulated host's own line can do.
type Link struct {
	Latency time.Duration // one way, between any two hosts; 0 means 20 ms
	Mbps    int           // each direction; 0 means 100
	First   int           // the same for the first host; 0 means as the others
}

// Simulated makes n hosts that speak QUIC over a simulated network. They know
// the first one as their bootstrap peer and are closed when the test ends. It
// is called inside a Bubble.
func Simulated(t *testing.T, n int, link Link) []*p2p.Host {
	t.Helper()
	if link.Latency == 0 {
		link.Latency = 20 * time.Millisecond
	}
	if link.Mbps == 0 {
		link.Mbps = 100
	}
	if link.First == 0 {
		link.First = link.Mbps
	}
	line := func(mbps, hosts int) simlibp2p.NodeLinkSettingsAndCount {
		way := simnet.LinkSettings{BitsPerSecond: mbps * simlibp2p.OneMbps}
		return simlibp2p.NodeLinkSettingsAndCount{LinkSettings: simnet.NodeBiDiLinkSettings{Downlink: way, Uplink: way}, Count: hosts}
	}
	// Its hosts do not discover their address by asking peers, which would
	// never let a bubble come to rest.
	network, meta, err := simlibp2p.SimpleLibp2pNetwork(
		[]simlibp2p.NodeLinkSettingsAndCount{line(link.First, 1), line(link.Mbps, n-1)},
		simnet.StaticLatency(link.Latency), simlibp2p.NetworkSettings{})
	if err != nil {
		t.Fatal(err)
	}
	network.Start()
	t.Cleanup(network.Close)
	var hosts []*p2p.Host
	for i, lh := range meta.Nodes {
		cfg := p2p.Config{Network: Network, Log: slog.New(slog.DiscardHandler)}
		if i > 0 {
			cfg.Bootstrap = hosts[0].Addrs()
		}
		h, err := p2p.Wrap(lh, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		hosts = append(hosts, h)
	}
	return hosts
}

// Introduce makes a know b's addresses, without connecting.
func Introduce(t testing.TB, a, b *p2p.Host) {
	t.Helper()
	rec, err := b.PeerRecord()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.AddPeerRecord(rec); err != nil {
		t.Fatal(err)
	}
}

// Connect connects a to b.
func Connect(t testing.TB, a, b *p2p.Host) peer.ID {
	t.Helper()
	Introduce(t, a, b)
	if err := a.Connect(t.Context(), b.ID()); err != nil {
		t.Fatal(err)
	}
	return b.ID()
}
