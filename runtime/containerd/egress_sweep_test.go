//go:build linux

package containerd

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/google/nftables"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/egress"
)

func (f *fixture) newGate() *egress.Gate {
	return egress.New(egress.Config{Name: f.namespace, Rate: 1 << 30, Lookup: fakeLookup, Log: f.log, LookEvery: 20 * time.Millisecond})
}

// wired is a task with a way out that goes on with a line of shell once open is called. Nobody
// waits for its end.
func (f *fixture) wired(t *testing.T, line string) (open func()) {
	t.Helper()
	f.Runtime.gate = f.newGate()
	dir := t.TempDir()
	spec := runtime.Spec{ID: "task", Egress: runtime.Egress{Hosts: []string{"*.test"}}, Limits: runtime.Limits{DiskBytes: 64 << 20},
		Mounts: []runtime.Mount{{Source: dir, Target: "/gate"}}}
	f.shell(t, spec, "echo ready; while [ ! -e /gate/open ]; do sleep 0.02; done; "+line)
	f.says(t, "ready")
	return func() {
		if err := os.WriteFile(filepath.Join(dir, "open"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// says waits until the task has said a line.
func (f *fixture) says(t *testing.T, line string) {
	t.Helper()
	r, err := f.Output(t.Context(), "task", runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for b := bufio.NewReader(r); ; {
		said, err := b.ReadString('\n')
		if err != nil {
			t.Fatalf("before %q: %v", line, err)
		}
		if said == line+"\n" {
			return
		}
	}
}

// killed is what a node that was killed leaves: it closes its resolvers and nothing else.
func (f *fixture) killed() {
	f.Runtime.gate.Forget()
	f.Runtime.gate = f.newGate()
}

func TestAWayOutSurvivesTheNodeAndGoesWithItsTask(t *testing.T) {
	if !inner(t) {
		return
	}
	makeInternet(t)
	f := newFixture(t)
	open := f.wired(t, "exec /evil/probe reach name=tcp:good.test:"+port)
	f.killed()
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	open()
	f.end(t, "task")
	if out := f.output(t, "task", runtime.Stdout); !strings.Contains(out, "name\tok") {
		t.Errorf("after the node came back: %q", out)
	}
	if left := linksLeft(t); len(left) > 0 {
		t.Errorf("of an ended task there is left: %v", left)
	}
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := tablesLeft(t, f.namespace); left {
		t.Error("the table is left without a task")
	}
}

func TestATaskThatTakesItsResolversPlaceIsCutOffAndNothingElse(t *testing.T) {
	if !inner(t) {
		return
	}
	makeInternet(t)
	f := newFixture(t)
	open := f.wired(t, "while :; do nc -ll -p 53 -e echo mine; sleep 0.02; done & "+
		"until nc 127.0.0.53 53 </dev/null | grep mine; do sleep 0.02; done; exec sleep 1000")
	f.killed()
	open()
	f.says(t, "mine")
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := linksLeft(t); len(left) > 0 {
		t.Errorf("it still has %v", left)
	}
	if err := f.Stop(t.Context(), "task", 0); err != nil {
		t.Error(err)
	}
}

func TestATaskThatEndedWithoutItsNodeIsNotConnectedAgain(t *testing.T) {
	if !inner(t) {
		return
	}
	makeInternet(t)
	f := newFixture(t)
	open := f.wired(t, "exit 7")
	f.killed()
	open()
	// As far as containerd knows: whoever asks us for the end settles it.
	if err := f.do(t.Context(), func(ctx context.Context, c *client.Client) error { return awaitTask(ctx, c, "task") }); err != nil {
		t.Fatal(err)
	}
	if err := f.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := linksLeft(t); len(left) > 0 {
		t.Errorf("of an ended task there is left: %v", left)
	}
	if exit := f.end(t, "task"); exit.Code != 7 {
		t.Errorf("exit %+v", exit)
	}
}

func TestAnEndedTaskWhoseUsersAPowerCutLostIsRemoved(t *testing.T) {
	if !inner(t) {
		return
	}
	makeInternet(t)
	f := newFixture(t)
	open := f.wired(t, "true")
	open()
	f.end(t, "task")
	// It is written without being made durable: its claim does not outlive the machine either.
	if err := os.Truncate(filepath.Join(f.paths.task("task"), claimFile), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(t.Context(), "task"); err != nil {
		t.Fatal(err)
	}
	if !f.gone("task") {
		t.Error("its folder is left")
	}
}

// linksLeft are the links of tasks.
func linksLeft(t testing.TB) (left []string) {
	t.Helper()
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Name, "rmesh") { // nobody else's: this network is the test's own
			left = append(left, l.Name)
		}
	}
	return left
}

func tablesLeft(t testing.TB, name string) bool {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if table.Name == name {
			return true
		}
	}
	return false
}
