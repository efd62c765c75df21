package p2p

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
)

// seenConn is a connection, as far as a view of the NAT looks at it.
type seenConn struct {
	network.Conn
	local, remote string
}

func (c seenConn) LocalMultiaddr() ma.Multiaddr  { return ma.StringCast(c.local) }
func (c seenConn) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast(c.remote) }

func TestTheNATIsJudgedByWhereOthersSeeUs(t *testing.T) {
	const own = "/ip4/192.168.1.2/udp/4001/quic-v1"
	listening := []ma.Multiaddr{ma.StringCast(own), ma.StringCast("/ip4/52.1.1.1/tcp/4001")}
	for _, c := range []struct {
		name string
		seen [][2]string // by whom, where
		want NAT
		nat  bool
	}{
		{"nobody", nil, NATUnknown, false},
		{"one", [][2]string{{"8.8.8.8", "80.1.1.1/udp/5000"}}, NATUnknown, true},
		{"same port", [][2]string{{"8.8.8.8", "80.1.1.1/udp/5000"}, {"9.9.9.9", "80.1.1.1/udp/5000"}}, NATSamePort, true},
		{"other port", [][2]string{{"8.8.8.8", "80.1.1.1/udp/5000"}, {"9.9.9.9", "80.1.1.1/udp/5001"}}, NATPortPerPeer, true},
		{"one peer twice", [][2]string{{"8.8.8.8", "80.1.1.1/udp/5000"}, {"8.8.8.8", "80.1.1.1/udp/5001"}}, NATUnknown, true},
		{"from our own network", [][2]string{{"192.168.1.9", "192.168.1.2/udp/4001"}, {"10.0.0.1", "80.1.1.1/udp/5000"}}, NATUnknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := natView{}
			for _, s := range c.seen {
				v.observe(listening, seenConn{local: own, remote: "/ip4/" + s[0] + "/udp/4001/quic-v1"}, ma.StringCast("/ip4/"+s[1]+"/quic-v1"))
				v.observe(listening, seenConn{local: "/ip4/192.168.1.2/udp/999/quic-v1", remote: "/ip4/" + s[0] + "/udp/1/quic-v1"}, ma.StringCast("/ip4/80.1.1.1/udp/999/quic-v1"))
			}
			if got := v.kind(ma.P_UDP, listening); got != c.want {
				t.Errorf("kind %d, want %d", got, c.want)
			}
			if got := v.behindNAT(listening); got != c.nat {
				t.Errorf("behind a NAT: %v", got)
			}
		})
	}
	v := natView{}
	v.observe(listening, seenConn{local: "/ip4/52.1.1.1/tcp/4001", remote: "/ip4/8.8.8.8/tcp/9"}, ma.StringCast("/ip4/52.1.1.1/tcp/4001"))
	if got := v.kind(ma.P_TCP, listening); got != NATNone || v.behindNAT(listening) {
		t.Errorf("a public address of our own: kind %d", got)
	}
}

func TestTheRelayOfAnAddressIsWhoComesBeforeTheCircuit(t *testing.T) {
	const relay = testID
	for text, want := range map[string]bool{
		"/ip4/8.8.8.8/tcp/1/p2p/" + relay + "/p2p-circuit": true,
		"/ip4/8.8.8.8/tcp/1/p2p/" + relay:                  false,
		"/p2p-circuit":                                     false,
	} {
		id, ok := relayOf(ma.StringCast(text))
		if ok != want || ok && id.String() != relay {
			t.Errorf("%s: %s, %v", text, id, ok)
		}
	}
}

func TestAPrivateNetworksKeyIsReadInBothForms(t *testing.T) {
	digits := strings.Repeat("0f", pskSize)
	file := filepath.Join(t.TempDir(), "net.psk")
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		ok   bool
	}{
		"digits":       {digits + "\n", 0o600, true},
		"swarm.key":    {"/key/swarm/psk/1.0.0/\n/base16/\n" + digits + "\n", 0o600, true},
		"too short":    {digits[2:], 0o600, false},
		"not a key":    {"/key/other/\n", 0o600, false},
		"anybody's":    {digits, 0o644, false},
		"empty":        {"", 0o600, false},
		"a short file": {"/key/swarm/psk/1.0.0/\n/base16/\n0f", 0o600, false},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		key, err := ReadPSK(file)
		if (err == nil) != c.ok || err == nil && hex.EncodeToString(key) != digits {
			t.Errorf("%s: %x, %v", name, key, err)
		}
		if err != nil && c.mode == 0o600 && !errors.Is(err, ErrPSK) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func addrs(texts ...string) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, text := range texts {
		out = append(out, ma.StringCast(text))
	}
	return out
}

func TestWhereOthersMerelySawUsIsNotGivenAwayWhileRelaysLeadHere(t *testing.T) {
	const home, seen, sure = "/ip4/192.168.1.2/tcp/4001", "/ip4/80.1.1.1/tcp/4001", "/ip4/80.1.1.1/tcp/5001"
	place := "/ip4/8.8.8.8/tcp/1/p2p/" + testID + "/p2p-circuit"
	r := newReach(slog.New(slog.DiscardHandler))
	all := addrs(home, seen, sure)
	if got := r.advertise(all); len(got) != 3 {
		t.Errorf("before anything is known: %v", got)
	}
	r.host, r.relays, r.reachable = noHost{}, addrs(place), addrs(sure)
	r.said = network.ReachabilityPrivate
	if got, want := fmt.Sprint(r.advertise(all)), fmt.Sprint(ma.Unique(addrs(home, sure, place))); got != want {
		t.Errorf("behind a NAT: %v, want %v", got, want)
	}
	r.said = network.ReachabilityPublic
	if got := r.advertise(all); len(got) != 3 {
		t.Errorf("once strangers come: %v", got)
	}
}

// noHost is a host whose network nobody asks for anything.
type noHost struct{ host.Host }

func (noHost) Network() network.Network { return nil }

const testID = "12D3KooWGjMCbqYMdJXmPXpXBZCpTNHPvCxq4UuMQ1HXGWqJpYg1"

func TestWhoWaitsForAPunchIsToldWhenItWasInVain(t *testing.T) {
	id, err := peer.Decode(testID)
	if err != nil {
		t.Fatal(err)
	}
	r := newReach(slog.New(slog.DiscardHandler))
	for range punchAttempts {
		if r.punch(id).failed {
			t.Fatal("given up too early")
		}
		r.Trace(&holepunch.Event{Remote: id, Evt: &holepunch.HolePunchAttemptEvt{}})
		r.Trace(&holepunch.Event{Remote: id, Evt: &holepunch.EndHolePunchEvt{}})
	}
	if !r.punch(id).failed {
		t.Error("three attempts, and not given up")
	}
	r.punches[id] = r.punches[id].through()
	if r.punch(id).failed {
		t.Error("given up though it went through")
	}
}

func TestTheGateKeepsTCPFromOnePeerForOneDial(t *testing.T) {
	id, err := peer.Decode(testID)
	if err != nil {
		t.Fatal(err)
	}
	q := &quicOnly{peers: map[peer.ID]bool{}}
	tcp, quic := ma.StringCast("/ip4/8.8.8.8/tcp/1"), ma.StringCast("/ip4/8.8.8.8/udp/1/quic-v1")
	q.set(id, true)
	if q.InterceptAddrDial(id, tcp) || !q.InterceptAddrDial(id, quic) || !q.InterceptAddrDial("other", tcp) {
		t.Error("the gate lets the wrong ones through")
	}
	q.set(id, false)
	if !q.InterceptAddrDial(id, tcp) {
		t.Error("the gate stays shut")
	}
}
