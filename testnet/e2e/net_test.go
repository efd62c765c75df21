//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/testnet/history"
	"github.com/rigmesh/rigmesh/testnet/lab"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

// patience bounds every single thing that is waited for, on a machine that has much else
// to do; nothing should come near it. A test as a whole ends with go test's own limit.
const patience = 5 * time.Minute

// network is a lab with one worker and a requester's data directory.
type network struct {
	*lab.Lab
	t         *testing.T
	ctx       context.Context
	worker    *lab.Process
	bootstrap string
	disk      string // the data directory that is a disk of its own; empty: none
}

// The data directories.
const (
	laptop = "laptop" // the requester's
	attic  = "attic"  // the worker's
)

// The programs under test, as make build and make test leave them.
const (
	binary   = "../../bin/rigmesh"
	failable = "../../bin/rigmesh-failpoints" // ends itself where the environment says
)

// start makes a lab with a worker that runs, and checks at the end of the test
// that nothing is left of it.
func start(t *testing.T) *network {
	t.Helper()
	n := prepare(t, binary)
	n.startWorker()
	return n
}

// prepare is start without a worker yet, of a given binary.
func prepare(t *testing.T, binary string) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("containers need root")
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("%s is not built: make build", filepath.Base(binary))
	}
	l, err := lab.New(binary)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &network{Lab: l, t: t, ctx: ctx}
	t.Cleanup(func() {
		defer cancel()
		n.finish()
	})
	if err := ociimage.Busybox(n.Path("busybox.tar")); err != nil {
		t.Fatal(err)
	}
	return n
}

// startWorker starts the worker, or starts it again on what it left, with more in its environment.
func (n *network) startWorker(env ...string) {
	n.t.Helper()
	p, err := n.StartWith(env, attic, "up", "--data", attic, "--simulate-gpu", "rtx-4090:2", "--price", "0.25")
	if err != nil {
		n.t.Fatal(err)
	}
	n.worker, n.bootstrap = p, n.ready(p, attic).Addresses[0]
}

// ready waits until a node answers, and says what it is.
func (n *network) ready(p *lab.Process, dir string) *controlv1.StatusResponse {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	st, err := n.Ready(ctx, p, dir)
	if err != nil {
		n.t.Fatal(err)
	}
	return st
}

// until waits until something is so. When it comes to nothing, what says what was the case.
func (n *network) until(is func() bool, what func() string) {
	n.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit.C:
			n.t.Fatalf("waited %s in vain: %s", patience, what())
		}
	}
}

// down stops the node of a data directory.
func (n *network) down(dir string) {
	n.t.Helper()
	if r := n.rigmesh("down", "--data", dir); r.code != 0 {
		n.t.Fatalf("down: %s", r.stderr)
	}
}

// finish stops all nodes and looks at what they left.
func (n *network) finish() {
	if n.t.Failed() {
		n.t.Logf("the worker's last words:\n%s", n.LastWords(attic))
		n.t.Logf("the requester's last words:\n%s", n.LastWords(laptop))
	}
	n.rigmesh("down", "--data", laptop)
	n.rigmesh("down", "--data", attic)
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		n.t.Error(err)
	}
	left, err := n.Remains()
	left.Mounts = slices.DeleteFunc(left.Mounts, func(point string) bool { return n.disk != "" && point == n.Path(n.disk) })
	if err != nil || !left.None() {
		n.t.Errorf("left behind: %s, %v", left, err)
	}
	n.t.Logf("left behind: %s", left)
	for _, dir := range []string{laptop, attic} {
		if _, err := os.Stat(n.Path(dir, "journal")); err != nil {
			continue
		}
		count, err := history.Read(n.Path(dir, "journal"))
		if err != nil {
			n.t.Errorf("history of %s: %v", dir, err)
		}
		n.t.Logf("%s signed %v", dir, count)
	}
	if n.disk != "" {
		n.unmount()
	}
	if err := n.Clear(); err != nil {
		n.t.Error(err)
	}
}

// result is what a command left.
type result struct {
	stdout, stderr string
	code           int
}

// rigmesh runs one command to its end.
func (n *network) rigmesh(args ...string) result {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	cmd := n.Command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		n.t.Fatalf("rigmesh %s took %s: %s%s", strings.Join(args, " "), patience, out.String(), errs.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatalf("rigmesh %s: %v", strings.Join(args, " "), err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// run runs a job of the requester's; image and command come last.
func (n *network) run(args ...string) result {
	n.t.Helper()
	return n.rigmesh(append([]string{"run", "--data", laptop, "--bootstrap", n.bootstrap, "--simulated", "--interval", "1s"}, args...)...)
}

// detach starts a job and gives its id. It waits for a bid for longer than a user would: two nodes
// that have only just started meet when this machine lets them.
func (n *network) detach(args ...string) string {
	n.t.Helper()
	r := n.run(append([]string{"-d", "-q", "--wait", "2m"}, args...)...)
	if r.code != 0 {
		n.t.Fatalf("run -d exited with %d: %s", r.code, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

// await waits until a job's output holds a text.
func (n *network) await(job, text string) {
	n.t.Helper()
	var r result
	n.until(func() bool {
		r = n.rigmesh("logs", "--data", laptop, job)
		return strings.Contains(r.stdout, text)
	}, func() string { return "job " + job + " did not print " + text + ": " + r.stdout + r.stderr })
}

// awaitFile waits until something in the lab matches a pattern.
func (n *network) awaitFile(pattern string) {
	n.t.Helper()
	n.until(func() bool {
		found, _ := filepath.Glob(n.Path(pattern))
		return len(found) > 0
	}, func() string { return "no " + pattern })
}

// listed is a job as ps shows it.
type listed struct {
	Job   string `json:"job"`
	Lease string `json:"lease"`
	State string `json:"state"`
	Beats uint64 `json:"beats"`
}

// jobs are all of the requester's, the oldest first.
func (n *network) jobs() (all []listed) {
	n.t.Helper()
	r := n.rigmesh("ps", "--data", laptop, "--all", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil {
		n.t.Fatalf("ps: %v: %s%s", err, r.stdout, r.stderr)
	}
	return all
}

// newest is the job that was begun last.
func (n *network) newest() string {
	n.t.Helper()
	all := n.jobs()
	return all[len(all)-1].Job
}

// ps is how a job stands.
func (n *network) ps(job string) listed {
	n.t.Helper()
	for _, j := range n.jobs() {
		if j.Job == job {
			return j
		}
	}
	return listed{}
}

// awaitJob waits until a job stands as it should.
func (n *network) awaitJob(job, what string, is func(listed) bool) {
	n.t.Helper()
	var j listed
	n.until(func() bool {
		j = n.ps(job)
		return is(j)
	}, func() string { return fmt.Sprintf("job is %+v, not %s", j, what) })
}

// killRequester ends the background requester as a power cut would.
func (n *network) killRequester() {
	n.t.Helper()
	if err := syscall.Kill(n.status(laptop).PID, syscall.SIGKILL); err != nil {
		n.t.Fatal(err)
	}
}

// answer is what a node says of itself.
type answer struct {
	PID    int    `json:"pid"`
	PeerID string `json:"peer_id"`
}

func (n *network) status(dir string) (st answer) {
	n.t.Helper()
	r := n.rigmesh("status", "--data", dir, "--json")
	if err := json.Unmarshal([]byte(r.stdout), &st); err != nil || st.PID == 0 {
		n.t.Fatalf("status: %v: %s%s", err, r.stdout, r.stderr)
	}
	return st
}

// receipts takes a job's receipt from both sides, verifies it and says whether
// they are the same; text is what a person is shown of it.
func (n *network) receipts(job string) (text string, same bool) {
	n.t.Helper()
	var files [2][]byte
	for i, dir := range []string{laptop, attic} {
		file := n.Path(dir + ".receipt")
		_ = os.Remove(file)
		if r := n.rigmesh("receipt", "export", "--data", dir, job, file); r.code != 0 {
			n.t.Fatalf("receipt export of %s: %s", dir, r.stderr)
		}
		if r := n.rigmesh("receipt", "verify", file); r.code != 0 {
			n.t.Fatalf("receipt verify of %s: %s", dir, r.stderr)
		}
		text = n.rigmesh("receipt", "show", file).stdout
		b, err := os.ReadFile(file)
		if err != nil {
			n.t.Fatal(err)
		}
		files[i] = b
	}
	return text, bytes.Equal(files[0], files[1])
}
