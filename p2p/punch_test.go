package p2p_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

// simulated makes a network of 20 ms between any two.
func simulated(t *testing.T) *simnet.Simnet {
	net := &simnet.Simnet{Logger: slog.New(slog.DiscardHandler), LatencyFunc: simnet.StaticLatency(20 * time.Millisecond)}
	net.Start()
	t.Cleanup(net.Close)
	return net
}

// hidden makes a host that tells nobody where it listens, as one behind a NAT does.
func hidden(t *testing.T, net *simnet.Simnet, n int, advertise bool) *p2p.Host {
	t.Helper()
	line := simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps}
	lh, err := libp2p.New(
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(n))),
		simlibp2p.QUICSimnet(net, simnet.NodeBiDiLinkSettings{Downlink: line, Uplink: line}),
		libp2p.AddrsFactory(func(all []ma.Multiaddr) []ma.Multiaddr {
			if advertise {
				return all
			}
			return nil
		}),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	h, err := p2p.Wrap(lh, p2p.Config{Network: p2ptest.Network, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// learner tells nobody an address before it knows one.
type learner struct{ knows atomic.Bool }

func (l *learner) FilterLocal(_ peer.ID, own []ma.Multiaddr) []ma.Multiaddr {
	if l.knows.Load() {
		return own
	}
	return nil
}

func (l *learner) FilterRemote(_ peer.ID, theirs []ma.Multiaddr) []ma.Multiaddr { return theirs }

// punching adds libp2p's service to a host.
func punching(t *testing.T, h *p2p.Host, l *learner) *holepunch.Service {
	t.Helper()
	ids := h.Libp2p().(interface{ IDService() identify.IDService }).IDService()
	s, err := holepunch.NewService(h.Libp2p(), ids, h.Libp2p().Network().ListenAddresses,
		holepunch.WithAddrFilter(l), holepunch.DirectDialTimeout(3*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	h.OnClose(func() { _ = s.Close() })
	return s
}

// A node learns where others see it some seconds after its peer came through a relay.
// libp2p has tried by then, and does not again.
func TestAPeerIsReachedDirectlyOnceBothKnowTheirAddresses(t *testing.T) {
	for _, again := range []bool{true, false} {
		for _, late := range []string{"the dialled side", "the dialling side", "nobody"} {
			t.Run(fmt.Sprintf("%s learns late, tried again: %v", late, again), func(t *testing.T) {
				p2ptest.Bubble(t, func(t *testing.T) { punchLate(t, late, again) })
			})
		}
	}
}

func punchLate(t *testing.T, late string, again bool) {
	net := simulated(t)
	via, a, b := hidden(t, net, 1, true), hidden(t, net, 2, false), hidden(t, net, 3, false)
	var la, lb learner
	la.knows.Store(late != "the dialling side")
	lb.knows.Store(late != "the dialled side")
	punching(t, a, &la)
	service := punching(t, b, &lb)
	if again {
		stop, err := p2p.PunchAgain(b, service)
		if err != nil {
			t.Fatal(err)
		}
		b.OnClose(stop)
	}
	time.Sleep(time.Second) // the services begin
	p2ptest.Relayed(t, a, b, via)
	time.Sleep(5 * time.Second)
	synctest.Wait()
	if got, want := b.Direct(a.ID()), late == "nobody"; got != want {
		t.Fatalf("direct after 5 s: %v, want %v", got, want)
	}
	la.knows.Store(true)
	lb.knows.Store(true)
	time.Sleep(10 * time.Second)
	synctest.Wait()
	if got, want := b.Direct(a.ID()), late == "nobody" || again; got != want {
		t.Errorf("direct in the end: %v, want %v", got, want)
	}
}

// stuck is a service that is in the middle of its attempts.
type stuck struct{ called, end chan struct{} }

func (s stuck) DirectConnect(peer.ID) error {
	close(s.called)
	<-s.end
	return nil
}

func TestANodeStopsInTheMiddleOfAPunch(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		net := simulated(t)
		via, a, b := hidden(t, net, 1, true), hidden(t, net, 2, false), hidden(t, net, 3, false)
		var unknown learner
		punching(t, b, &unknown)
		s := stuck{make(chan struct{}), make(chan struct{})}
		stop, err := p2p.PunchAgain(b, s)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the service begins
		p2ptest.Relayed(t, a, b, via)
		<-s.called
		stop() // or the bubble finds everybody waiting
		close(s.end)
	})
}
