package p2ptest

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"

	"github.com/rigmesh/rigmesh/p2p"
)

// Relayed connects a to b through a relay that it makes of via, for a GiB and an hour.
func Relayed(t testing.TB, a, b, via *p2p.Host) {
	t.Helper()
	r, err := relay.New(via.Libp2p(), relay.WithLimit(&relay.RelayLimit{Duration: time.Hour, Data: 1 << 30}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	at := peer.AddrInfo{ID: via.ID(), Addrs: via.Libp2p().Addrs()}
	if _, err := client.Reserve(t.Context(), b.Libp2p(), at); err != nil {
		t.Fatal(err)
	}
	through := at.Addrs[0].String() + "/p2p/" + via.ID().String() + "/p2p-circuit/p2p/" + b.ID().String()
	if _, err := a.ConnectAddr(t.Context(), through); err != nil {
		t.Fatal(err)
	}
	if a.Direct(b.ID()) {
		t.Fatal("connected directly, and not through the relay")
	}
}

// GoDirect adds a direct connection to one through a relay, as punching does.
func GoDirect(t testing.TB, a, b *p2p.Host) {
	t.Helper()
	Introduce(t, a, b)
	if _, err := a.Libp2p().Network().DialPeer(network.WithForceDirectDial(t.Context(), "test"), b.ID()); err != nil {
		t.Fatal(err)
	}
}
