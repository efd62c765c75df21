//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// limits are the power limits of simulated cards, as the cards themselves keep them.
func (n *network) limits() []uint32 {
	b, err := os.ReadFile(n.Path(attic, "simulated-cards"))
	if err != nil {
		return nil
	}
	var set map[string]uint32
	if err := json.Unmarshal(b, &set); err != nil {
		n.t.Fatal(err)
	}
	var out []uint32
	for _, mw := range set {
		out = append(out, mw)
	}
	return out
}

// awaitLimits waits until two cards have a power limit, and nothing is left to put back or
// something is.
func (n *network) awaitLimits(want uint32, changed bool) {
	n.t.Helper()
	n.until(func() bool {
		b, _ := os.ReadFile(n.Path(attic, "cards", "changed.json"))
		is := n.limits()
		return len(is) == 2 && is[0] == want && is[1] == want && strings.Contains(string(b), "before_mw") == changed
	}, func() string { return fmt.Sprintf("want limits of %d mW, and they are %v", want, n.limits()) })
}

const (
	makersWatts = 450_000 // of an RTX 4090
	ownersWatts = 250_000
)

// A card keeps the limit that was set in it when its node dies; that of the owner's
// is put back by the process beside the node, while no node runs.
func TestSettingsOfACardArePutBackWhenItsNodeIsKilled(t *testing.T) {
	n := prepare(t, binary)
	n.set("lend.watts", "250")
	n.startWorker()
	n.awaitLimits(ownersWatts, true)
	if err := n.worker.Kill(); err != nil {
		t.Fatal(err)
	}
	n.awaitLimits(makersWatts, false)
	n.startWorker()
	n.awaitLimits(ownersWatts, true)
	n.set("lend.watts", "300") // while it runs
	n.awaitLimits(300_000, true)
	n.set("lend.watts", "0")
	n.awaitLimits(makersWatts, false)
}

// When everything is killed, as by a power cut, the next start puts back what was.
func TestSettingsOfACardArePutBackByTheNextStart(t *testing.T) {
	n := prepare(t, binary)
	n.set("lend.watts", "250")
	n.startWorker()
	n.awaitLimits(ownersWatts, true)
	if err := n.KillAll("restore-cards"); err != nil { // first, or it would do its work
		t.Fatal(err)
	}
	if err := n.worker.Kill(); err != nil {
		t.Fatal(err)
	}
	n.awaitLimits(ownersWatts, true)
	n.set("lend.watts", "0")
	n.startWorker()
	n.awaitLimits(makersWatts, false)
}

// What an owner says on the command line reaches the task, the requester and the receipt.
func TestAnOwnerPausesAndTheRequesterIsTold(t *testing.T) {
	n := prepare(t, binary)
	n.set("lend.notice", "3s")
	n.startWorker()
	job := n.detach("oci-archive:busybox.tar", "sh", "-c", `trap 'echo saved' USR1; trap 'exit 9' TERM; echo ready; while true; do sleep 0.1; done`)
	n.await(job, "ready")
	if r := n.rigmesh("top", "--once", "--data", attic); r.code != 0 || !strings.Contains(r.stdout, "rtx-4090 (sim)") || !strings.Contains(r.stdout, "leased") {
		t.Errorf("top: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := n.rigmesh("pause", "--data", attic); r.code != 0 || !strings.Contains(r.stdout, "1 lease told to end") {
		t.Fatalf("pause: %d %s%s", r.code, r.stdout, r.stderr)
	}
	r := n.rigmesh("attach", "--data", laptop, "--bootstrap", n.bootstrap, job)
	for _, want := range []string{"the worker's owner takes the machine back", "told to end in 3s"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("attach does not say %q:\n%s", want, r.stderr)
		}
	}
	if out := n.rigmesh("logs", "--data", laptop, job).stdout; out != "ready\nsaved\n" {
		t.Errorf("the task printed %q", out)
	}
	text, same := n.receipts(job)
	if !same || !strings.Contains(text, "the worker's owner took the machine back") {
		t.Errorf("the receipt says\n%s", text)
	}
	if r := n.rigmesh("status", "--data", attic); !strings.Contains(r.stdout, "paused by you") {
		t.Errorf("status:\n%s", r.stdout)
	}
}

// set changes a setting of the worker, whether or not it runs.
func (n *network) set(key, value string) {
	n.t.Helper()
	if r := n.rigmesh("config", "set", "--data", attic, key, value); r.code != 0 {
		n.t.Fatalf("config set %s %s: %s", key, value, r.stderr)
	}
}
