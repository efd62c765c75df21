package node

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"testing"

	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/node/config"
)

func TestPortsOfTheLastStartGoWhereAnyWouldDo(t *testing.T) {
	last := ports{TCP: 4001, UDP: 4002}
	got := last.into([]string{
		"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/77", "/ip6/::/udp/88/quic-v1",
	})
	want := []string{
		"/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4002/quic-v1", "/ip4/127.0.0.1/tcp/77", "/ip6/::/udp/88/quic-v1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestOnlyPortsThatAnAddressAsksForAreMissed(t *testing.T) {
	last := ports{TCP: 4001, UDP: 4002}
	for _, c := range []struct {
		listen []string
		asked  ports
	}{
		{[]string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"}, last},
		{[]string{"/ip4/127.0.0.1/tcp/0"}, ports{TCP: 4001}},
		{[]string{"/ip4/127.0.0.1/tcp/77", "/ip4/127.0.0.1/udp/0/quic-v1"}, ports{UDP: 4002}},
		{[]string{"/ip4/127.0.0.1/tcp/4001"}, ports{}},
	} {
		if got := last.askedBy(c.listen); got != c.asked {
			t.Errorf("%v asks for %+v", c.listen, got)
		}
	}
}

func TestOneNumberServesBothProtocols(t *testing.T) {
	if p := onePort(); p.TCP == 0 || p.TCP != p.UDP {
		t.Errorf("got %+v", p)
	}
}

func TestANodeTakesItsPortsAgainAndOthersWhenTheyAreTaken(t *testing.T) {
	dir := t.TempDir()
	open := func() (*Node, ports) {
		t.Helper()
		n := &Node{cfg: config.Default(dir), key: sessiontest.Key("node"), log: slog.New(slog.DiscardHandler)}
		n.cfg.Network, n.cfg.Listen = "test", []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
		if err := n.listen(); err != nil {
			t.Fatal(err)
		}
		return n, portsOf(n.Addrs())
	}
	n, first := open()
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	n, second := open()
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	if first != second || first.TCP == 0 || first.UDP == 0 {
		t.Errorf("ports %+v, then %+v", first, second)
	}
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first.TCP))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	n, third := open()
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	if third.TCP == first.TCP || third.TCP == 0 {
		t.Errorf("ports %+v while %d is taken", third, first.TCP)
	}
	if kept := readPorts(n.path("ports")); kept != third {
		t.Errorf("kept %+v, not %+v", kept, third)
	}
}
