//go:build linux

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

// earlier is the recorded version of the file PREVIOUS, as make compat leaves it.
const earlier = "../../bin/rigmesh-previous"

// Two versions of the program, and names for the subtests.
var versions = map[string]string{"this": binary, "earlier": earlier}

// needsEarlier skips where there is only one version.
func needsEarlier(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(earlier); errors.Is(err, fs.ErrNotExist) {
		t.Skip("no earlier version is built: make compat")
	}
}

// use makes every further command one of that version.
func (n *network) use(version string) {
	n.t.Helper()
	if err := n.Use(versions[version]); err != nil {
		n.t.Fatal(err)
	}
}

// verified takes a job's receipt from both sides and has both versions verify it.
func (n *network) verified(job string) {
	n.t.Helper()
	for version := range versions {
		n.use(version)
		if _, same := n.receipts(job); !same {
			n.t.Errorf("the two sides hold different receipts")
		}
	}
}

// A worker of one version serves a requester of the other.
func TestTwoVersionsWorkTogether(t *testing.T) {
	needsEarlier(t)
	for _, c := range []struct{ worker, requester string }{{"this", "earlier"}, {"earlier", "this"}} {
		t.Run("worker of "+c.worker+" version, requester of "+c.requester, func(t *testing.T) {
			n := prepare(t, versions[c.worker])
			n.startWorker()
			n.use(c.requester)
			job := n.detach("-o", "/out:./out", "oci-archive:busybox.tar", "sh", "-c", counting)
			if r := n.rigmesh("attach", "--data", laptop, job); r.code != 7 {
				t.Fatalf("attach exited with %d: %s", r.code, r.stderr)
			}
			if out := n.rigmesh("logs", "--data", laptop, job).stdout; out != counted {
				t.Errorf("the job's output is %q", out)
			}
			n.verified(job)
		})
	}
}

// Either side changes to the other version while a job runs, forth and back: its
// data directory, its lease and its task are taken up as they are.
func TestANodeChangesItsVersionInTheMiddleOfAJob(t *testing.T) {
	needsEarlier(t)
	for _, from := range []string{"earlier", "this"} {
		to := map[string]string{"earlier": "this", "this": "earlier"}[from]
		for side, change := range map[string]func(*network){
			"worker":    func(n *network) { n.replaceWorker(to) },
			"requester": func(n *network) { n.down(laptop); n.use(to) },
		} {
			t.Run(side+" from "+from+" version to "+to, func(t *testing.T) {
				n := prepare(t, versions[from])
				n.startWorker()
				job := n.detach("-o", "/out:./out", "oci-archive:busybox.tar", "sh", "-c", counting)
				n.await(job, "tick 2")
				before := n.ps(job).Lease
				change(n)
				r := n.rigmesh("attach", "--data", laptop, "--bootstrap", n.bootstrap, job)
				if r.code != 7 {
					t.Fatalf("attach exited with %d: %s", r.code, r.stderr)
				}
				if out := n.rigmesh("logs", "--data", laptop, job).stdout; out != counted {
					t.Errorf("the job's output is %q", out)
				}
				if after := n.ps(job).Lease; before == "" || after != before {
					t.Errorf("lease %q became %q", before, after)
				}
				n.verified(job)
			})
		}
	}
}

// replaceWorker ends the worker's node, not its task, and starts one of another version.
func (n *network) replaceWorker(version string) {
	n.t.Helper()
	if err := n.worker.Interrupt(); err != nil {
		n.t.Fatal(err)
	}
	n.awaitEnd(n.worker)
	n.use(version)
	n.startWorker()
}

// asked are commands about a node and a job of it.
var asked = map[string][]string{
	laptop: {"ps", "ps --json", "status", "status --json", "offers", "describe JOB", "why JOB", "logs JOB", "receipt list", "exec JOB true"},
	attic:  {"status", "top --once", "why", "config list", "ps", "receipt list"},
}

// A node of another version answers what it is asked, or the command says in a sentence that
// it is too old for that.
func TestCommandsWorkWithANodeOfAnotherVersion(t *testing.T) {
	needsEarlier(t)
	for _, c := range []struct{ nodes, commands string }{{"this", "earlier"}, {"earlier", "this"}} {
		t.Run("nodes of "+c.nodes+" version, commands of "+c.commands, func(t *testing.T) {
			n := prepare(t, versions[c.nodes])
			n.startWorker()
			n.startRequester()
			n.use(c.commands)
			job := n.detach("oci-archive:busybox.tar", "sh", "-c", waiting)
			n.await(job, "on\n")
			for dir, commands := range asked {
				for _, command := range commands {
					n.answers(dir, job, command)
				}
			}
			n.stopped(job)
			n.verified(job)
		})
	}
}

// answers runs a command against the node of a data directory.
func (n *network) answers(dir, job, command string) {
	n.t.Helper()
	words := strings.Fields(strings.ReplaceAll(command, "JOB", job))
	at := 1 // the flag comes after the command's name, which has two words at times
	if words[0] == "receipt" || words[0] == "config" {
		at = 2
	}
	r := n.rigmesh(slices.Insert(words, at, "--data", dir)...)
	switch {
	case r.code == 0:
		n.t.Logf("%s of %s: works", command, dir)
	case strings.Contains(r.stderr, "older version"), strings.Contains(r.stderr, "unknown command"):
		n.t.Logf("%s of %s: %s", command, dir, r.stderr)
	default:
		n.t.Errorf("%s of %s: exit %d: %s%s", command, dir, r.code, r.stdout, r.stderr)
	}
}
