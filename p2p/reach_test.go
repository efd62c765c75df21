package p2p

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
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
	const relay = "12D3KooWGjMCbqYMdJXmPXpXBZCpTNHPvCxq4UuMQ1HXGWqJpYg1"
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
