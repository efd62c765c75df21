package p2p

import (
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

func TestOneAddressGetsSoMuchOfARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAllowance()
		allowed := func(from string, tries int) (n int) {
			for range tries {
				if a.AllowConnect("src", ma.StringCast(from), "dest") {
					n++
				}
			}
			return n
		}
		for _, c := range []struct {
			name, from  string
			tries, want int
		}{
			{"all at once", "/ip4/52.1.1.1/tcp/1", relayConnects + 10, relayConnects},
			{"from another port", "/ip4/52.1.1.1/udp/9/quic-v1", 10, 0},
			{"from another address", "/ip4/52.1.1.2/tcp/1", 10, 10},
			{"an IPv6 network", "/ip6/2001:db8::1/tcp/1", relayConnects, relayConnects},
			{"the same network", "/ip6/2001:db8:0:ff::2/tcp/1", 10, 0},
			{"this machine", "/ip4/127.0.0.1/tcp/1", 2 * relayConnects, 2 * relayConnects},
			{"through a relay itself", "/p2p-circuit", 1, 0},
		} {
			if got := allowed(c.from, c.tries); got != c.want {
				t.Errorf("%s: %d of %d, want %d", c.name, got, c.tries, c.want)
			}
		}
		time.Sleep(time.Hour)
		if got := allowed("/ip4/52.1.1.1/tcp/1", relayConnects); got != relayConnectsPerHour {
			t.Errorf("an hour later: %d, want %d", got, relayConnectsPerHour)
		}
	})
}
