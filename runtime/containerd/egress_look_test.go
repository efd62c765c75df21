//go:build linux

package containerd

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/rigmesh/rigmesh/runtime"
)

func TestRulesThatSomebodyTakesAwayComeBackForEveryTask(t *testing.T) {
	if !inner(t) {
		return
	}
	makeInternet(t)
	f := newFixture(t)
	open := f.wired(t, "exec /evil/probe reach home=tcp:10.1.2.3:"+port+" host=tcp:11.0.0.2:"+port+" mail=tcp:11.0.0.1:25 name=tcp:good.test:"+port)
	f.shell(t, runtime.Spec{ID: "second", Egress: runtime.Egress{Public: true}}, "exec sleep 1000")
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	table := &nftables.Table{Name: f.namespace, Family: nftables.TableFamilyINet}
	c.DelTable(table)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	until(t, "the rules are back", func() bool { return tablesLeft(t, f.namespace) })
	links, err := c.GetSetElements(&nftables.Set{Table: table, Name: "links"})
	if err != nil || len(links) != 2 {
		t.Errorf("rules for %d links are back, %v", len(links), err)
	}
	open()
	f.end(t, "task")
	want := map[string]string{"home": "denied", "host": "denied", "mail": "denied", "name": "ok"}
	out := f.output(t, "task", runtime.Stdout)
	for name, verdict := range want {
		if !strings.Contains(out, name+"\t"+verdict) {
			t.Errorf("%s is not %s: %q", name, verdict, out)
		}
	}
	if err := f.Remove(t.Context(), "second"); err != nil {
		t.Error(err)
	}
}

func TestAWayOutThatTheHostHasLaterServesTasksThatRun(t *testing.T) {
	if !inner(t) {
		return
	}
	makeInternet(t)
	f := newFixture(t)
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_DST)
	if err != nil || len(routes) != 1 {
		t.Fatal(routes, err)
	}
	if err := netlink.RouteDel(&routes[0]); err != nil {
		t.Fatal(err)
	}
	open := f.wired(t, "exec /evil/probe reach name=tcp:good.test:"+port)
	if forwards(t, "up0") {
		t.Fatal("it forwards without a way out")
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: routes[0].LinkIndex, Gw: net.IPv4(11, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	until(t, "answers are let in", func() bool { return forwards(t, "up0") })
	open()
	f.end(t, "task")
	if out := f.output(t, "task", runtime.Stdout); !strings.Contains(out, "name\tok") {
		t.Errorf("by the new way out: %q", out)
	}
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if forwards(t, "up0") {
		t.Error("it forwards still, without a task")
	}
}

func forwards(t *testing.T, name string) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + name + "/forwarding")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b)) == "1"
}

// until asks again and again, for what nobody tells of.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		if err := pause(t.Context(), 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}
