//go:build linux

package egress

import (
	"net/netip"
	"testing"

	"github.com/rigmesh/rigmesh/runtime/publicnet"
)

// Ranges are as nftables wants them: from here, up to there.
func TestRangesHoldExactlyWhatIsDenied(t *testing.T) {
	for _, is := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		type edge struct {
			at  netip.Addr
			end bool
		}
		var edges []edge
		for _, e := range deniedRanges(is) {
			a, _ := netip.AddrFromSlice(e.Key)
			edges = append(edges, edge{a, e.IntervalEnd})
		}
		for i, e := range edges {
			if e.end != (i%2 == 1) {
				t.Fatalf("%d: %+v", i, edges)
			}
		}
		denied := func(a netip.Addr) bool {
			in := false
			for _, e := range edges {
				if e.at.Compare(a) <= 0 {
					in = !e.end
				}
			}
			return in
		}
		for _, p := range publicnet.Denied() {
			if !is(p.Addr()) {
				continue
			}
			for _, a := range []netip.Addr{p.Addr(), p.Addr().Prev(), after(p), after(p).Prev()} {
				if a.IsValid() && is(a) && denied(a) == publicnet.Has(a) {
					t.Errorf("%s: denied %v", a, denied(a))
				}
			}
		}
	}
}

func TestLinksDoNotShareAddressesAndAreNotPublic(t *testing.T) {
	seen := make(map[netip.Addr]bool)
	for slot := range 1 << 15 {
		l := linkOf(uint16(slot))
		for _, p := range append(l.host[:], l.task[:]...) {
			if seen[p.Addr()] || publicnet.Has(p.Addr()) {
				t.Fatalf("slot %d: %s", slot, p)
			}
			seen[p.Addr()] = true
		}
		if len(l.name) > 15 {
			t.Fatalf("name %s", l.name)
		}
	}
}
