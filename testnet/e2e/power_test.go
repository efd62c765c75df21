//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

var diskRounds = flag.Int("disk-rounds", 0, "everything that happens to a disk, so often; 0: a sample")

// moments at which the requester's power goes: right after a person was told something,
// which must then be true for good.
var moments = []struct {
	name  string
	await func(n *network, job string)
}{
	{"the job was taken", func(*network, string) {}},
	{"a lease was signed", func(n *network, job string) {
		n.awaitJob(job, "leased", func(j listed) bool { return j.Lease != "" })
	}},
	{"output was shown", func(n *network, job string) { n.await(job, "begun") }},
	{"heartbeats were signed", func(n *network, job string) {
		n.awaitJob(job, "beating", func(j listed) bool { return j.Beats >= 3 })
	}},
	{"the exit code was told", func(n *network, job string) { n.follow(job) }},
	{"the receipt was shown", func(n *network, job string) { n.follow(job); n.awaitReceipts(job) }},
}

// sampled is all of something, or where not all is wanted one of it.
func sampled[T any](all []T, one int) []T {
	if *diskRounds == 0 {
		return all[one : one+1]
	}
	return all
}

// follow waits for a job's end, which is exact.
func (n *network) follow(job string) {
	n.t.Helper()
	r := n.rigmesh("attach", "--data", laptop, "--bootstrap", n.bootstrap, "-o", "/out:./out", job)
	if r.code != 7 {
		n.t.Fatalf("attach exited with %d, want the job's 7\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// The whole data directory of a requester lies on a disk that forgets what was not synced: key,
// settings, inputs, history, outputs and receipts beside the journal.
func TestAPowerCutTakesNothingThatWasTold(t *testing.T) {
	for _, m := range sampled(moments, 4) {
		for range max(1, *diskRounds) {
			t.Run(m.name, func(t *testing.T) { loseRequester(t, m.await) })
		}
	}
}

func loseRequester(t *testing.T, moment func(*network, string)) {
	n := prepare(t, binary)
	n.onDisk(laptop)
	n.startWorker()
	requester := n.startRequester()
	who := n.status(laptop).PeerID
	n.write("in/word", "spoken\n")
	job := n.detach("--disk", "16MiB", "-v", "./in:/in:ro", "-o", "/out:./out", "oci-archive:busybox.tar",
		"sh", "-c", "echo begun; sleep 5; cat /in/word | tee /out/word; exit 7")
	moment(n, job)
	n.cutPower(requester)
	n.startRequester()
	if is := n.status(laptop).PeerID; is != who {
		t.Errorf("node %s has become %s", who, is)
	}
	_ = os.RemoveAll(n.Path("out"))
	n.follow(job)
	if out := n.rigmesh("logs", "--data", laptop, job).stdout; out != "begun\nspoken\n" {
		t.Errorf("the job's output is %q", out)
	}
	if b, err := os.ReadFile(n.Path("out", "word")); err != nil || string(b) != "spoken\n" {
		t.Errorf("the job's file: %q, %v", b, err)
	}
	n.awaitReceipts(job)
	if _, same := n.receipts(job); !same {
		t.Error("the two sides hold different receipts")
	}
}

// cutPower ends a node and gives it the disk as it was at that instant.
func (n *network) cutPower(p *lab.Process) {
	n.t.Helper()
	if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil { // what it does from here on it never did
		n.t.Fatal(err)
	}
	cut := n.diskNow()
	if err := p.Kill(); err != nil {
		n.t.Fatal(err)
	}
	n.unmount()
	n.turnBack(cut)
}

// diskNow is a copy of the disk as a power cut would leave it: the file below its loop device
// holds what the kernel has written out, and nothing else.
func (n *network) diskNow() string {
	n.t.Helper()
	cut := n.Path("cut.img")
	for before := ""; before != n.written(); { // the copy is of one instant
		before = n.written()
		n.must("cp", "--sparse=always", n.Path(n.disk+".img"), cut)
	}
	return cut
}

// turnBack mounts such a copy in the place of the disk.
func (n *network) turnBack(cut string) {
	n.t.Helper()
	if err := os.Rename(cut, n.Path(n.disk+".img")); err != nil {
		n.t.Fatal(err)
	}
	n.mount()
}

// workerMoments at which the worker's power goes, for how many seconds its task would run, and the
// codes that its job may then have: 125 is that of a task that vanished.
var workerMoments = []struct {
	name    string
	await   func(n *network, job string)
	seconds int
	codes   []int
}{
	{"a lease was signed", func(n *network, job string) {
		n.awaitJob(job, "leased", func(j listed) bool { return j.Lease != "" })
	}, 5, []int{7, 125}}, // nobody can tell in advance whether the task has begun
	{"heartbeats of a running task were signed", func(n *network, job string) {
		n.await(job, "begun")
		begun := n.ps(job).Beats
		n.awaitJob(job, "beating", func(j listed) bool { return j.Beats >= begun+2 })
	}, 3600, []int{125}},
	{"the exit code was told", func(n *network, job string) { n.follow(job) }, 0, []int{7}},
}

// The power of a worker's machine goes: its node, its containerd, shims and tasks end at one
// instant, and the disk forgets what was not synced. Its requester learns that the task is lost, and the
// worker, once started again, works as if it were new.
func TestAPowerCutOfAWorkersMachineEndsItsTaskAndNothingElse(t *testing.T) {
	for _, m := range sampled(workerMoments, 1) {
		for range max(1, *diskRounds) {
			t.Run(m.name, func(t *testing.T) { loseWorker(t, m.await, m.seconds, m.codes) })
		}
	}
}

func loseWorker(t *testing.T, moment func(*network, string), seconds int, codes []int) {
	n := prepare(t, binary)
	n.onDisk(attic)
	n.startWorker()
	requester := n.startRequester()
	who := n.status(attic).PeerID
	job := n.detach("--disk", "16MiB", "-o", "/out:./out", "oci-archive:busybox.tar",
		"sh", "-c", fmt.Sprintf("echo begun; sleep %d; echo spoken | tee /out/word; exit 7", seconds))
	moment(n, job)
	n.Freeze(requester.PID())
	cut := n.diskNow()
	if err := n.Unplug(requester.PID()); err != nil {
		t.Fatal(err)
	}
	n.turnBack(cut)
	n.startWorker()
	if is := n.status(attic).PeerID; is != who {
		t.Errorf("node %s has become %s", who, is)
	}
	r := n.rigmesh("attach", "--data", laptop, "--bootstrap", n.bootstrap, job)
	if !slices.Contains(codes, r.code) {
		t.Errorf("attach exited with %d, want one of %d\n%s%s", r.code, codes, r.stdout, r.stderr)
	}
	n.awaitReceipts(job)
	if _, same := n.receipts(job); !same {
		t.Error("the two sides hold different receipts")
	}
	if r := n.run("--wait", "1m", "--disk", "16MiB", "oci-archive:busybox.tar", "sh", "-c", "exit 9"); r.code != 9 {
		t.Errorf("the next job exited with %d: %s", r.code, r.stderr)
	}
}

// written changes with every write to the disk.
func (n *network) written() string {
	n.t.Helper()
	b, err := os.ReadFile(filepath.Join("/sys/block", n.device(), "stat"))
	fields := strings.Fields(string(b))
	if err != nil || len(fields) < 9 {
		n.t.Fatalf("writes of the disk: %q, %v", b, err)
	}
	return fields[4] + " " + fields[6] + " " + fields[8] // done, sectors, on their way
}
