//go:build linux

package nat

import (
	"os"
	"testing"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// A router that forwards ports on request makes its node reachable for everybody, also
// for those with whom no punch works.
func TestARouterForwardsTheNodesPorts(t *testing.T) {
	if !*whole {
		t.Skip("waits for the network to dial the mapped port: make nat")
	}
	if _, err := os.Stat(Miniupnpd); err != nil {
		t.Skip("needs miniupnpd, as home routers have it: apt-get install miniupnpd-nftables")
	}
	w := newWorld(t, dataRelay)
	ns := w.site("home", Symmetric, 1)[0]
	if err := w.net.Mapper("home"); err != nil {
		t.Fatal(err)
	}
	w.lend(ns, "home")
	w.rent(w.site("away", Symmetric, 1)[0], "away", 0)
	w.await("the router's port to be found open", func() bool {
		return w.reach("home").Reach == controlv1.Reach_REACH_MAPPED
	})
	w.knows("away", []string{"home"})
	if _, err := w.lease("away", "home", 4); err != nil {
		t.Error(err)
	}
	w.await("away to need no relay", func() bool { return direct(w.way("away", "home")) })
}
