package p2p_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

func TestEveryProblemOfAConfigIsReported(t *testing.T) {
	cfg := p2ptest.Config(t)
	cfg.Network = "Not A Name"
	cfg.Bootstrap = []string{"/ip4/1.2.3.4/tcp/1", "nonsense"}
	_, err := p2p.New(cfg)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Not A Name", "/ip4/1.2.3.4/tcp/1", "nonsense"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not mentioned in: %v", want, err)
		}
	}
}

func TestConnectUsesTheAddressesOfAPeerRecord(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	a, b := hosts[0], hosts[1]
	if err := a.Connect(t.Context(), b.ID()); !errors.Is(err, p2p.ErrUnreachable) {
		t.Fatalf("without an address: got %v, want ErrUnreachable", err)
	}
	p2ptest.Connect(t, a, b)
	conns := a.Libp2p().Network().ConnsToPeer(b.ID())
	if len(conns) != 1 {
		t.Fatalf("%d connections, want 1", len(conns))
	}
	if got := conns[0].ConnState(); got.Transport != "tcp" || got.Security != "/tls/1.0.0" {
		t.Errorf("connected over %s with %s, want tcp with TLS", got.Transport, got.Security)
	}
	if rtt, err := a.Ping(t.Context(), b.ID()); err != nil || rtt <= 0 {
		t.Errorf("ping: %v %v", rtt, err)
	}
}

func TestConnectAsksTheNetworkForAnUnknownPeer(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	a, b := hosts[0], hosts[1]
	a.UseLookup(func(context.Context, peer.ID) (peer.AddrInfo, error) {
		return peer.AddrInfo{ID: b.ID(), Addrs: b.Libp2p().Addrs()}, nil
	})
	if err := a.Connect(t.Context(), b.ID()); err != nil {
		t.Fatal(err)
	}
}

func TestANodeDoesNotDialItself(t *testing.T) {
	h := p2ptest.Loopback(t, 1)[0]
	if err := h.Connect(t.Context(), h.ID()); !errors.Is(err, p2p.ErrSelf) {
		t.Errorf("Connect: got %v, want ErrSelf", err)
	}
	if _, err := h.ConnectAddr(t.Context(), h.Addrs()[0]); !errors.Is(err, p2p.ErrSelf) {
		t.Errorf("ConnectAddr: got %v, want ErrSelf", err)
	}
}

func TestConnectAddrSaysWhenNobodyIsThere(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	addr := hosts[1].Addrs()[0]
	if err := hosts[1].Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := hosts[0].ConnectAddr(t.Context(), addr); !errors.Is(err, p2p.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
}

func TestPeerRecordsThatAreNotTheSignersAreRefused(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	good, err := hosts[1].PeerRecord()
	if err != nil {
		t.Fatal(err)
	}
	if id, err := hosts[0].AddPeerRecord(good); err != nil || id != hosts[1].ID() {
		t.Fatalf("own record: %v %v", id, err)
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 1
		if _, err := hosts[0].AddPeerRecord(bad); err == nil {
			t.Errorf("accepted with byte %d changed", i)
		}
	}
	if _, err := hosts[0].AddPeerRecord(make([]byte, p2p.MaxPeerRecord+1)); !errors.Is(err, p2p.ErrPeerRecord) {
		t.Errorf("oversize: got %v, want ErrPeerRecord", err)
	}
}

func TestPeerRecordOfALoopbackHostNamesLoopback(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	p2ptest.Introduce(t, hosts[0], hosts[1])
	addrs := hosts[0].Libp2p().Peerstore().Addrs(hosts[1].ID())
	if len(addrs) != 2 {
		t.Fatalf("addresses %v, want TCP and QUIC", addrs)
	}
	for _, a := range addrs {
		if !strings.HasPrefix(a.String(), "/ip4/127.0.0.1/") {
			t.Errorf("address %s", a)
		}
	}
}

func TestTwentyRigsBehindOneAddressMayConnect(t *testing.T) {
	hosts := p2ptest.Loopback(t, 21)
	for _, h := range hosts[1:] {
		p2ptest.Connect(t, h, hosts[0])
	}
	if n := len(hosts[0].Peers()); n != 20 {
		t.Errorf("%d connected, want 20", n)
	}
}

func TestRunReconnectsWhenTheLastPeerIsLost(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
		p2ptest.Run(t, hosts[1])
		waitConnected(t, hosts[1], hosts[0].ID())
		if err := hosts[1].Libp2p().Network().ClosePeer(hosts[0].ID()); err != nil {
			t.Fatal(err)
		}
		waitConnected(t, hosts[1], hosts[0].ID())
	})
}

func TestRunFindsABootstrapPeerThatStartsLate(t *testing.T) {
	late, addrs := startsLate(t)
	cfg := p2ptest.Config(t)
	cfg.Bootstrap = addrs
	h := p2ptest.New(t, cfg)
	p2ptest.Run(t, h)
	waitConnected(t, h, p2ptest.New(t, late).ID())
}

// startsLate are the configuration and the addresses of a host that does not run yet.
func startsLate(t *testing.T) (p2p.Config, []string) {
	t.Helper()
	late := p2ptest.Config(t)
	late.Listen = []string{"/ip4/127.0.0.1/tcp/0"} // which says at once that nobody is there
	first := p2ptest.New(t, late)
	addrs := first.Addrs()
	late.Listen = nil
	for _, a := range first.Libp2p().Addrs() {
		late.Listen = append(late.Listen, a.String())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	return late, addrs
}

// After a dial that failed, libp2p refuses further ones for some seconds.
func TestABootstrapPeerThatIsBackIsReachedByTheFirstDial(t *testing.T) {
	late, addrs := startsLate(t)
	cfg := p2ptest.Config(t)
	var log bytes.Buffer
	cfg.Bootstrap, cfg.Log = addrs, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := p2ptest.New(t, cfg)
	for _, a := range addrs {
		if _, err := h.ConnectAddr(t.Context(), a); err == nil {
			t.Fatal("connected to a host that does not run")
		}
	}
	id := p2ptest.New(t, late).ID()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	waitConnected(t, h, id)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "dial backoff") {
		t.Errorf("a dial was not made:\n%s", log.String())
	}
}

func TestRunWithoutAnybodyIsNoError(t *testing.T) {
	cfg := p2ptest.Config(t)
	gone := p2ptest.New(t, p2ptest.Config(t))
	cfg.Bootstrap = gone.Addrs()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	h := p2ptest.New(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestJoinHasARunningHostDialSoon(t *testing.T) {
	hosts := []*p2p.Host{p2ptest.New(t, p2ptest.Config(t)), p2ptest.New(t, p2ptest.Config(t))}
	p2ptest.Run(t, hosts[0], hosts[1])
	if err := hosts[0].Join("/ip4/127.0.0.1/tcp/1"); err == nil {
		t.Error("an address without a peer was taken")
	}
	if err := hosts[0].Join(hosts[1].Addrs()...); err != nil {
		t.Fatal(err)
	}
	waitConnected(t, hosts[0], hosts[1].ID())
	if got := hosts[0].PeerAddrs(); len(got) == 0 || !strings.HasSuffix(got[0], hosts[1].ID().String()) {
		t.Errorf("peers connected are %v", got)
	}
}

func TestCloseCallsBackInReverse(t *testing.T) {
	cfg := p2ptest.Config(t)
	cfg.Log = slog.New(slog.DiscardHandler)
	h := p2ptest.New(t, cfg)
	var order string
	h.OnClose(func() { order += "1" })
	h.OnClose(func() { order += "2" })
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h.OnClose(func() { order += "3" })
	if order != "213" {
		t.Errorf("order %s, want 213", order)
	}
}

// waitConnected waits for a connection event, or finds one there.
func waitConnected(t *testing.T, h *p2p.Host, id peer.ID) {
	t.Helper()
	sub, err := h.Libp2p().EventBus().Subscribe(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	deadline := time.After(2 * time.Minute)
	for h.Libp2p().Network().Connectedness(id) != network.Connected {
		select {
		case <-sub.Out():
		case <-deadline:
			t.Fatal("not connected")
		}
	}
}

func TestWithoutTheKeyNobodyEntersAPrivateNetwork(t *testing.T) {
	private := func(key byte) *p2p.Host {
		cfg := p2ptest.Config(t)
		cfg.Listen = cfg.Listen[:1]
		cfg.PSK = bytes.Repeat([]byte{key}, 32)
		return p2ptest.New(t, cfg)
	}
	a, b, other := private(1), private(1), private(2)
	open := p2ptest.New(t, p2ptest.Config(t))
	p2ptest.Connect(t, a, b)
	for _, h := range []*p2p.Host{other, open} {
		p2ptest.Introduce(t, h, a)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := h.Connect(ctx, a.ID()); !errors.Is(err, p2p.ErrUnreachable) {
			t.Errorf("connected without the key: %v", err)
		}
		cancel()
	}
	cfg := p2ptest.Config(t)
	cfg.PSK = make([]byte, 32)
	if _, err := p2p.New(cfg); err == nil || !strings.Contains(err.Error(), "TCP alone") {
		t.Errorf("a private network on QUIC: %v", err)
	}
}

func TestARouteTellsHowAPeerIsReached(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	if got := hosts[0].Route(hosts[1].ID()); got.Way != p2p.WayNone {
		t.Errorf("not connected, and %+v", got)
	}
	p2ptest.Connect(t, hosts[1], hosts[0])
	if got, want := hosts[1].Route(hosts[0].ID()), (p2p.Route{Way: p2p.WayLocal, Transport: "tcp"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	hosts[1].AwaitDirect(t.Context(), hosts[0].ID()) // returns at once
	if !hosts[0].LoopbackOnly() || hosts[0].Reachability().Reach != p2p.ReachUnknown {
		t.Errorf("on loopback: %+v", hosts[0].Reachability())
	}
}
