//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// counting is a job that takes about eight seconds, prints as it goes and exits with 7.
const counting = `i=0; while [ $i -lt 8 ]; do echo tick $i; i=$((i+1)); sleep 1; done; echo done >/out/result; exit 7`

const counted = "tick 0\ntick 1\ntick 2\ntick 3\ntick 4\ntick 5\ntick 6\ntick 7\n"

// survive runs the counting job, has something killed in its middle and set
// right again, and checks that nobody can tell from the result.
func survive(t *testing.T, kill func(n *network)) {
	n := start(t)
	job := n.detach("-o", "/out:./out", "oci-archive:busybox.tar", "sh", "-c", counting)
	n.await(job, "tick 2")
	before := n.ps(job).Lease
	kill(n)
	r := n.rigmesh("attach", "--data", laptop, "--bootstrap", n.bootstrap, job)
	if r.code != 7 {
		t.Fatalf("attach exited with %d, want the job's 7\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
	}
	if out := n.rigmesh("logs", "--data", laptop, job).stdout; out != counted {
		t.Errorf("the job's output is %q", out)
	}
	if after := n.ps(job).Lease; before == "" || after != before {
		t.Errorf("lease %q became %q", before, after)
	}
	text, same := n.receipts(job)
	if !same {
		t.Errorf("the two sides hold different receipts")
	}
	if !strings.Contains(text, "exit       7") {
		t.Errorf("the receipt does not name the exit code:\n%s", text)
	}
}

func TestAJobSurvivesTheDeathOfItsRequester(t *testing.T) {
	survive(t, (*network).killRequester)
}

func TestAJobSurvivesTheDeathOfItsWorkersNode(t *testing.T) {
	survive(t, func(n *network) {
		if err := n.worker.Kill(); err != nil {
			t.Fatal(err)
		}
		n.startWorker()
	})
}

func TestAJobSurvivesTheDeathOfBothNodes(t *testing.T) {
	survive(t, func(n *network) {
		if err := n.worker.Kill(); err != nil {
			t.Fatal(err)
		}
		n.killRequester()
		n.startWorker()
	})
}

func TestAJobThatEndsWhileItsWorkersNodeIsDownKeepsItsExitAndOutput(t *testing.T) {
	n := start(t)
	job := n.detach("oci-archive:busybox.tar", "sh", "-c", "echo first; sleep 2; echo last; exit 42")
	n.await(job, "first")
	if err := n.worker.Kill(); err != nil {
		t.Fatal(err)
	}
	n.awaitFile(attic + "/containerd/tasks/*/rec/exit.json")
	n.startWorker()
	r := n.rigmesh("attach", "--data", laptop, job)
	if r.code != 42 {
		t.Errorf("attach exited with %d, want 42: %s", r.code, r.stderr)
	}
	if out := n.rigmesh("logs", "--data", laptop, job).stdout; out != "first\nlast\n" {
		t.Errorf("output %q", out)
	}
}
