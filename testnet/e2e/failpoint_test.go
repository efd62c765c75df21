//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

var failSeeds = flag.Int("fail-seeds", 0, "end each side at each of its steps, with this many power cuts each; 0: a sample")

// Steps of the two sides, one after the other in the life of a lease.
var (
	workerSteps = []string{
		"worker.award#1", "worker.event:challenged#1", "worker.event:task_running#1", "worker.event:acked#1",
		"worker.event:challenged#2", "worker.event:task_ended#1", "worker.event:task_exited#1", "worker.event:close_signed#1",
	}
	requesterSteps = []string{
		"requester.job#1", "requester.award#1", "requester.lease#1", "requester.event:tick#1", "requester.event:beat_received#1",
		"requester.event:beat_received#2", "requester.event:close_received#1", "requester.received#1", "requester.ended#1",
	}
	stages = []string{"before", "written", "synced", "committed"}
)

// Real processes with real containers, each side ended with kill -9 at one of its steps,
// half of them with what the journal had not synced lost. The rules are explored far
// more finely in testnet/sim; here containerd, the disk and the process table take part.
func TestBothSidesDieAtAStepAndNothingIsLostOrDoubled(t *testing.T) {
	var resumed []time.Duration
	runs := 0
	try := func(worker, requester string, seed int) {
		t.Run(strings.ReplaceAll(worker+" "+requester, "/", "-"), func(t *testing.T) {
			runs++
			back := dieAt(t, worker, requester, seed)
			t.Logf("back after %s", back) // where steps are tried one by one, their percentiles are made of these
			resumed = append(resumed, back...)
		})
	}
	if *failSeeds == 0 {
		try("worker.award#1/synced", "requester.event:close_received#1/written", 1)
		try("worker.event:task_exited#1/written", "requester.event:beat_received#1/committed", 0)
		try("worker.event:close_signed#1/before", "requester.lease#1/before", 2)
	}
	for seed := range *failSeeds {
		for i, step := range workerSteps {
			for k, stage := range stages {
				other := requesterSteps[(i+k+seed)%len(requesterSteps)]
				try(step+"/"+stage, other+"/"+stages[(k+seed)%len(stages)], seed)
			}
		}
	}
	if len(resumed) > 0 {
		sort.Slice(resumed, func(a, b int) bool { return resumed[a] < resumed[b] })
		t.Logf("%d runs, %d ends; from start to taken up again: median %s, p99 %s", runs, len(resumed),
			resumed[len(resumed)/2].Round(time.Millisecond), resumed[len(resumed)*99/100].Round(time.Millisecond))
	}
}

// dieAt runs a job during which both sides end, and gives how long each took to be back.
func dieAt(t *testing.T, worker, requester string, seed int) []time.Duration {
	n := prepare(t, failable)
	env := func(step string) []string {
		e := []string{"RIGMESH_FAIL_AT=" + step}
		if seed > 0 {
			e = append(e, fmt.Sprintf("RIGMESH_FAIL_POWER=%d", seed))
		}
		return e
	}
	n.startWorker(env(worker)...)
	first := n.startRequester(env(requester)...)
	job, again := "", false
	for job == "" { // a job whose submission died was not accepted: its person tries again
		r := n.run("-d", "-q", "--wait", "2m", "oci-archive:busybox.tar", "sh", "-c", "echo started; sleep 3; echo done; exit 7")
		if job = strings.TrimSpace(r.stdout); r.code == 0 {
			break
		}
		job = ""
		failed := fmt.Sprintf("run -d exited with %d: %s", r.code, r.stderr)
		if again {
			t.Fatal(failed)
		}
		n.until(func() bool { return ended(first) }, func() string { return failed }) // the command may know first
		again = true
		n.startRequester()
	}
	back := n.revive(job, first)
	r := n.rigmesh("attach", "--data", laptop, "--bootstrap", n.bootstrap, job)
	if r.code != 7 {
		t.Fatalf("attach exited with %d, want the job's 7\n%s%s", r.code, r.stdout, r.stderr)
	}
	if out := n.rigmesh("logs", "--data", laptop, job).stdout; out != "started\ndone\n" {
		t.Errorf("the job's output is %q", out)
	}
	n.awaitReceipts(job)
	if _, same := n.receipts(job); !same {
		t.Error("the two sides hold different receipts")
	}
	return back
}

// startRequester starts the background requester, or starts it again.
func (n *network) startRequester(env ...string) *lab.Process {
	n.t.Helper()
	p, err := n.StartWith(env, laptop, "node", "--requester", "--data", laptop, "--bootstrap", n.bootstrap)
	if err != nil {
		n.t.Fatal(err)
	}
	n.ready(p, laptop)
	return p
}

func ended(p *lab.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// revive starts each side again when it has died, until both have and the job is over, and
// gives how long each start took to answer.
func (n *network) revive(job string, requester *lab.Process) []time.Duration {
	n.t.Helper()
	var back []time.Duration
	worker := n.worker
	n.until(func() bool {
		began := time.Now()
		if worker != nil && ended(worker) {
			worker = nil
			n.startWorker()
			back = append(back, time.Since(began))
		}
		began = time.Now()
		if requester != nil && ended(requester) {
			requester = nil
			n.startRequester()
			back = append(back, time.Since(began))
		}
		return worker == nil && requester == nil
	}, func() string { return "not both sides of job " + job + " came to their step" })
	return back
}

// awaitReceipts waits until both sides hold the job's receipt.
func (n *network) awaitReceipts(job string) {
	n.t.Helper()
	for _, dir := range []string{laptop, attic} {
		var r result
		n.until(func() bool {
			_ = os.Remove(n.Path(dir + ".awaited")) // of an earlier wait
			r = n.rigmesh("receipt", "export", "--data", dir, job, n.Path(dir+".awaited"))
			return r.code == 0
		}, func() string { return dir + " never got the receipt of job " + job + ": " + r.stderr })
	}
}
