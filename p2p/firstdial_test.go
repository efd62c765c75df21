package p2p_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// abroad is a host whose peers seem to be across the internet, over TCP.
type abroad struct{ host.Host }

func (h abroad) Network() network.Network { return abroadNetwork{h.Host.Network()} }

type abroadNetwork struct{ network.Network }

func (n abroadNetwork) ConnsToPeer(id peer.ID) (out []network.Conn) {
	for _, c := range n.Network.ConnsToPeer(id) {
		out = append(out, abroadConn{c})
	}
	return out
}

type abroadConn struct{ network.Conn }

func (abroadConn) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast("/ip4/1.2.3.4/tcp/1") }

// A peer that was away when the node started may be the other side of a lease by now.
func TestAConnectionThatOthersUseIsNotMadeAnewOverQUIC(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	a, b := hosts[0], hosts[1]
	stream.Accept(b, "echo", stream.Limits{}, func(_ context.Context, c *stream.Conn) {
		var m leasev1.Chunk
		for c.Recv(&m) == nil && c.Send(&m) == nil {
		}
	})
	p2ptest.Connect(t, a, b)
	open, err := stream.Open(t.Context(), a, b.ID(), "echo")
	if err != nil {
		t.Fatal(err)
	}
	exchange := func() {
		t.Helper()
		var got leasev1.Chunk
		if err := open.Send(&leasev1.Chunk{Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if err := open.Recv(&got); err != nil {
			t.Fatal(err)
		}
	}
	exchange()
	seen, err := p2p.Wrap(abroad{a.Libp2p()}, p2p.Config{Network: p2ptest.Network, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	quic := ma.StringCast("/ip4/1.2.3.4/udp/1/quic-v1")
	a.Libp2p().Peerstore().AddAddr(b.ID(), quic, peerstore.PermanentAddrTTL)
	if way := seen.Route(b.ID()); way.Way != p2p.WayDirect || way.Transport != "tcp" {
		t.Fatalf("the way is %+v; want one across the internet over TCP", way)
	}
	if err := p2p.GreetOverQUIC(t.Context(), seen, peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{quic}}); err != nil {
		t.Fatal(err)
	}
	exchange()
}
