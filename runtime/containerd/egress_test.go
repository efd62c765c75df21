//go:build linux

package containerd

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/egress"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// target is a place on a network that a task may want to reach.
type target struct{ name, where string }

// The port of everything that listens in these tests, but for mail.
const port = "4001"

// forbidden are what a task with a way out to the public internet is not to reach.
// Everything that is not the host's or a task's is on the router of inner's internet.
var forbidden = []target{
	{"lan-10", "tcp:10.1.2.3:" + port},
	{"lan-172-first", "tcp:172.16.5.5:" + port},
	{"lan-172-last", "tcp:172.31.255.254:" + port},
	{"lan-192-168", "tcp:192.168.1.1:" + port},
	{"lan-10-as-ipv6", "tcp:[::ffff:10.1.2.3]:" + port},
	{"lan-10-datagram", "udp:10.1.2.1:" + port},
	{"carrier-nat", "tcp:100.64.0.1:" + port},
	{"metadata", "tcp:169.254.169.254:" + port},
	{"metadata-containers", "tcp:169.254.170.2:" + port},
	{"metadata-100", "tcp:100.100.100.200:" + port},
	{"metadata-192", "tcp:192.0.0.192:" + port},
	{"metadata-ipv6", "tcp:[fd00:ec2::254]:" + port},
	{"link-local", "tcp:169.254.1.1:" + port},
	{"documentation-1", "tcp:192.0.2.7:" + port},
	{"documentation-2", "tcp:198.51.100.7:" + port},
	{"documentation-3", "tcp:203.0.113.9:" + port},
	{"benchmark-network", "tcp:198.19.255.1:" + port},
	{"relay-to-ipv6", "tcp:192.88.99.1:" + port},
	{"reserved", "tcp:240.0.0.1:" + port},
	{"broadcast", "udp:255.255.255.255:" + port},
	{"multicast", "udp:224.0.0.1:" + port},
	{"mail", "tcp:11.0.0.1:25"},
	{"mail-tls", "tcp:11.0.0.1:465"},
	{"mail-submission", "tcp:11.0.0.1:587"},
	{"mail-ipv6", "tcp:[2a11::1]:25"},
	{"host-public-address", "tcp:11.0.0.2:" + port},
	{"host-public-datagram", "udp:11.0.0.2:" + port},
	{"host-lan-address", "tcp:10.1.2.2:" + port},
	{"host-public-ipv6", "tcp:[2a11::2]:" + port},
	{"unique-local", "tcp:[fd01::1]:" + port},
	{"unique-local-reserved", "tcp:[fc00::1]:" + port},
	{"site-local", "tcp:[fec0::1]:" + port},
	{"documentation-ipv6", "tcp:[2001:db8::7]:" + port},
	{"ipv4-in-6to4", "tcp:[2002:a01:203::1]:" + port},
	{"ipv4-in-nat64", "tcp:[64:ff9b::a01:203]:" + port},
	{"tunnel-teredo", "tcp:[2001::1]:" + port},
	{"unassigned-ipv6", "tcp:[4000::1]:" + port},
	{"multicast-ipv6", "udp:[ff02::1%eth0]:" + port},
}

// unlisted are what one with a list of names is not to reach besides.
var unlisted = []target{
	{"name-not-listed", "tcp:other.test:" + port},
	{"address-not-listed", "tcp:11.0.0.9:" + port},
	{"address-not-listed-ipv6", "tcp:[2a11::9]:" + port},
}

// names are what inner's internet knows.
var names = map[string][]string{
	"good.test": {"11.0.0.1", "2a11::1"}, "other.test": {"11.0.0.9", "2a11::9"},
	"rebind.test": {"10.1.2.3", "169.254.169.254", "fd01::1"},
}

func fakeLookup(_ context.Context, network, name string) ([]netip.Addr, error) {
	var found []netip.Addr
	for _, text := range names[name] {
		if a := netip.MustParseAddr(text); a.Is4() == (network == "ip4") {
			found = append(found, a)
		}
	}
	if names[name] == nil {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return found, nil
}

// inner runs a test again in a network namespace of its own, whose internet is another
// one: nothing on this host's network is touched. It says whether this is that run.
func inner(t *testing.T) bool {
	t.Helper()
	const variable = "RIGMESH_TEST_INNER"
	if os.Getenv(variable) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("in a network of its own:\n%s", out)
	return false
}

func TestATaskReachesThePublicInternetAndNothingElse(t *testing.T) {
	if !inner(t) {
		return
	}
	makeInternet(t)
	f := newFixture(t)
	f.Runtime.gate = egress.New(egress.Config{Name: f.namespace, Rate: 1 << 30, Lookup: fakeLookup, Log: f.log})
	targets := append([]target{}, forbidden...)
	targets = append(targets, f.neighbour(t)...)
	public := runtime.Egress{Public: true}
	listed := runtime.Egress{Hosts: []string{"good.test", "rebind.test"}}

	good := []target{{"public", "tcp:11.0.0.1:" + port}, {"public-ipv6", "tcp:[2a11::1]:" + port}, {"public-name", "tcp:good.test:" + port}}
	for name, verdict := range f.reach(t, "open", public, good) {
		if verdict != "ok" {
			t.Errorf("%s is %s with a way out", name, verdict)
		}
	}
	onList := f.reach(t, "listed", listed, append([]target{{"rebound", "tcp:rebind.test:" + port}, good[2]}, unlisted...))
	if onList["public-name"] != "ok" || onList["rebound"] != "denied" {
		t.Errorf("with a list: %v", onList)
	}
	all := append(append([]target{}, targets...), unlisted...)
	none := f.reach(t, "none", runtime.Egress{}, all)
	on := f.reach(t, "on", public, targets)
	f.switchOff(t)
	off := f.reach(t, "off", public, all)
	counted := 0
	for i, a := range all {
		protected, by := on[a.name], protection("egress-rules")
		if i >= len(targets) {
			protected, by = onList[a.name], "egress-list"
		}
		line(t, a.name, off[a.name], protected, []protection{networkNamespace, by})
		if off[a.name] != "ok" || protected != "denied" || none[a.name] != "denied" {
			t.Errorf("%s: unprotected %s, protected %s, without a way out %s", a.name, off[a.name], protected, none[a.name])
			continue
		}
		counted++
	}
	t.Logf("%d targets, %d of them counted", len(all), counted)
	if counted < 30 {
		t.Errorf("%d targets count, 30 are wanted", counted)
	}
}

// reach tries targets from inside a task and gives the verdicts.
func (f *fixture) reach(t *testing.T, id string, policy runtime.Egress, targets []target) map[string]string {
	t.Helper()
	command := []string{"/evil/probe", "reach"}
	for _, a := range targets {
		command = append(command, a.name+"="+a.where)
	}
	spec := runtime.Spec{ID: id, Image: f.image, Command: command, Egress: policy, Limits: runtime.Limits{DiskBytes: 64 << 20}}
	if err := f.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	exit := f.end(t, id)
	verdicts := make(map[string]string)
	for l := range strings.Lines(f.output(t, id, runtime.Stdout)) {
		if fields := strings.Split(strings.TrimSpace(l), "\t"); len(fields) >= 2 {
			verdicts[fields[0]] = fields[1]
		}
	}
	if exit.Code != 0 || len(verdicts) != len(targets) {
		t.Fatalf("exit %+v, %d of %d answered: %s", exit, len(verdicts), len(targets), f.output(t, id, runtime.Stderr))
	}
	if err := f.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return verdicts
}

// neighbour is a task that listens, and the addresses of its link.
func (f *fixture) neighbour(t *testing.T) []target {
	t.Helper()
	f.shell(t, runtime.Spec{ID: "neighbour", Egress: runtime.Egress{Public: true}, Limits: runtime.Limits{DiskBytes: 64 << 20}},
		"echo here; while :; do nc -l -p "+port+" -e true; done")
	r, err := f.Output(t.Context(), "neighbour", runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	var u users
	if ok, err := record.Read(f.paths.task("neighbour"), claimFile, &u); !ok || err != nil {
		t.Fatal(ok, err)
	}
	n := uint32(u.slot()) * 4
	at := func(last uint32) string { return fmt.Sprintf("198.%d.%d.%d", 18+(n>>16), n>>8&0xff, n&0xff+last) }
	return []target{{"another-task", "tcp:" + at(2) + ":" + port}, {"another-tasks-link", "tcp:" + at(1) + ":" + port}}
}

// switchOff makes every rule of the gate moot.
func (f *fixture) switchOff(t *testing.T) {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	table := &nftables.Table{Name: f.namespace, Family: nftables.TableFamilyINet}
	for _, chain := range []string{"input", "forward"} {
		c.InsertRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Name: chain, Table: table},
			Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}})
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}
