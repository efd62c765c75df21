//go:build linux

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func (n *network) mkdir(name string) {
	n.t.Helper()
	if err := os.MkdirAll(n.Path(name), 0o755); err != nil {
		n.t.Fatal(err)
	}
}

func TestASecondNodeOnOneDataDirectoryIsRefusedWithThePidOfTheFirst(t *testing.T) {
	n := start(t)
	r := n.rigmesh("up", "--data", attic, "--simulate-gpu", "rtx-4090")
	if r.code == 0 || !strings.Contains(r.stderr, fmt.Sprintf("pid %d", n.worker.PID())) {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
}

func TestAWorkerThatDiesIsNamedAndTheReceiptCoversWhatItServed(t *testing.T) {
	n := start(t)
	n.down(attic)
	if err := os.WriteFile(n.Path(attic, "config.yaml"), []byte("absent-grace: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.startWorker()
	job := n.detach("oci-archive:busybox.tar", "sh", "-c", "echo started; sleep 600")
	n.await(job, "started")
	n.awaitJob(job, "three beats old", func(j listed) bool { return j.Beats >= 3 })
	if err := n.worker.Kill(); err != nil {
		t.Fatal(err)
	}
	n.awaitJob(job, "suspect", func(j listed) bool { return strings.HasPrefix(j.State, "sus") })
	if r := n.rigmesh("attach", "--data", laptop, job); r.code != 125 || !strings.Contains(r.stderr, "silent") {
		t.Errorf("attach exited with %d: %s", r.code, r.stderr)
	}
	if r := n.rigmesh("receipt", "show", "--data", laptop, job); r.code != 0 || !strings.Contains(r.stdout, "last heartbeat") {
		t.Errorf("receipt show: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	n.startWorker() // it finds its lease lapsed, and ends the task
}

func TestAnImageThatIsNotThereIsNamedBeforeAnythingIsLeased(t *testing.T) {
	n := start(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"oci-archive:nothing.tar", "true"}, "nothing.tar"},
		{[]string{"-v", "./missing:/in:ro", "oci-archive:busybox.tar", "true"}, "missing"},
		{[]string{"-o", "/out:/proc/out", "oci-archive:busybox.tar", "true"}, "not writable"},
	} {
		r := n.run(c.args...)
		if r.code == 0 || !strings.Contains(r.stderr, c.want) || strings.Contains(r.stderr, "leased") {
			t.Errorf("run %v: exit %d: %s", c.args, r.code, r.stderr)
		}
	}
}

func TestANodeThatRanBeforeFindsTheNetworkWithoutABootstrapAddress(t *testing.T) {
	n := start(t)
	// The first call starts the node alone; the second tells the running node where to begin.
	if r := n.rigmesh("offers", "--data", laptop); strings.Contains(r.stdout, "rtx-4090") {
		t.Fatalf("offers of a node that knows nobody: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := n.rigmesh("offers", "--data", laptop, "--bootstrap", n.bootstrap, "--wait", "10s"); !strings.Contains(r.stdout, "rtx-4090") {
		t.Fatalf("offers with an address: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	n.down(laptop)
	if r := n.rigmesh("offers", "--data", laptop, "--wait", "10s"); !strings.Contains(r.stdout, "rtx-4090") {
		t.Errorf("offers after a restart: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
}
