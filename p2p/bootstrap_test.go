package p2p_test

import (
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

// Among many peers some always go. Those that are not there must not be dialled for it.
func TestAPeerThatGoesIsMissedByANodeWithFew(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 7, p2ptest.Link{})
		for _, h := range hosts[1:] {
			p2ptest.Introduce(t, hosts[0], h)
			p2ptest.Connect(t, hosts[0], h)
		}
		time.Sleep(time.Second)
		p2p.Nudged(hosts[0])
		for left := 5; left >= 0; left-- {
			if err := hosts[0].Libp2p().Network().ClosePeer(hosts[left+1].ID()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if got, want := p2p.Nudged(hosts[0]), left < 4; got != want {
				t.Errorf("one goes, %d are left: looks for more: %v, want %v", left, got, want)
			}
		}
	})
}
