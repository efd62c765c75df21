//go:build linux

package egress

import (
	"log/slog"
	"os"
	goruntime "runtime"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netns"

	"github.com/rigmesh/rigmesh/runtime"
)

// inNamespace runs f in a network namespace of its own, which goes with its thread.
func inNamespace(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		goruntime.LockOSThread()
		h, err := netns.New()
		if err != nil {
			t.Error(err)
			return
		}
		defer h.Close()
		f(t)
	}()
	<-done
}

func TestTheKernelTakesTheTableAndLetsGoOfIt(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		g := New(Config{Name: "rigmesh-test", Rate: 12_500_000, Log: slog.New(slog.DiscardHandler)})
		l := linkOf(5)
		for range 2 {
			if err := g.makeTable(); err != nil {
				t.Error(err)
				return
			}
			if err := g.admit(l, runtime.Egress{Public: true}); err != nil {
				t.Error(err)
			}
			for _, p := range []int{0, 1, 1} {
				if err := g.allow(l, l.host[p].Addr()); err != nil {
					t.Error(err)
				}
			}
		}
		c, err := nftables.New()
		if err != nil {
			t.Error(err)
			return
		}
		count := func() (n int) {
			for _, name := range []string{linksSet, publicSet, sourceSet4, sourceSet6, allowSet4, allowSet6} {
				elements, err := c.GetSetElements(g.set(name))
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				n += len(elements)
			}
			return n
		}
		if n := count(); n != 6 {
			t.Errorf("%d elements, want one in each of six sets", n)
		}
		if err := g.Close("task", 5); err != nil {
			t.Error(err)
		}
		if n := count(); n != 0 {
			t.Errorf("%d elements are left", n)
		}
		if err := g.Sweep(nil); err != nil {
			t.Error(err)
		}
		if there, err := g.hasTable(c); there || err != nil {
			t.Errorf("the table is left: %v", err)
		}
	})
}
