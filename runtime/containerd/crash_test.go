//go:build linux

package containerd

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// gated starts a task that prints a word, waits for a file, and exits with a code. The
// function lets it go on.
func (h host) gated(t *testing.T, id string, code int) (open func()) {
	t.Helper()
	dir := t.TempDir()
	h.shell(t, runtime.Spec{ID: id, Mounts: []runtime.Mount{{Source: dir, Target: "/gate"}}},
		fmt.Sprintf("echo before; while [ ! -e /gate/open ]; do sleep 0.02; done; echo after; exit %d", code))
	r, err := h.Output(t.Context(), id, runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(filepath.Join(dir, "open"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// recorded waits until the init of a task has written how it ended.
func (h host) recorded(t *testing.T, id string) {
	t.Helper()
	w, err := newWatch(t.Context(), h.paths.record(id))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for !record.Marked(h.paths.record(id), record.ExitFile) {
		if err := w.Next(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTaskAndWaitSurviveTheDeathOfContainerd(t *testing.T) {
	h := open(t)
	release := h.gated(t, "task", 7)
	exits := make(chan runtime.Exit)
	go func() {
		exit, err := h.Wait(t.Context(), "task")
		if err != nil {
			t.Error(err)
		}
		exits <- exit
	}()
	outputs := make(chan string)
	go func() { outputs <- h.output(t, "task", runtime.Stdout) }()
	for range 3 {
		h.killDaemon(t)
		if s, err := h.Status(t.Context(), "task"); err != nil || s.State != runtime.Running {
			t.Fatalf("status %+v, %v", s, err)
		}
	}
	release()
	if exit := <-exits; exit.Code != 7 || exit.Error != "" {
		t.Errorf("exit %+v", exit)
	}
	if out := <-outputs; out != "before\nafter\n" {
		t.Errorf("stdout %q", out)
	}
}

var unseenEnds = flag.Int("unseen-ends", 4, "how many tasks end while nobody looks")

// On a busy machine a shim may answer late when containerd comes back. Its task lives.
func TestTaskSurvivesAShimThatAnswersLate(t *testing.T) {
	h := open(t)
	release := h.gated(t, "task", 7)
	shim := parent(t, h.processesOf(t, "task")[0])
	if err := unix.Kill(shim, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	const late = 6 * time.Second // containerd by itself waits for 5
	time.AfterFunc(late, func() { _ = unix.Kill(shim, unix.SIGCONT) })
	h.killDaemon(t)
	if s, err := h.Status(t.Context(), "task"); err != nil || s.State != runtime.Running {
		t.Errorf("status %+v, %v", s, err)
	}
	release()
	if exit := h.end(t, "task"); exit.Code != 7 || exit.Error != "" {
		t.Errorf("exit %+v", exit)
	}
}

// parent is the process that a process was started by, or came to.
func parent(t *testing.T, pid int) (parent int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut(string(status), "\nPPid:")
	if _, serr := fmt.Sscan(after, &parent); err != nil || serr != nil {
		t.Fatal(err, serr)
	}
	return parent
}

// Every second one ends while containerd is gone too, the others while the node alone is.
func TestTaskThatEndsWhileNobodyLooksKeepsItsExactExit(t *testing.T) {
	h := open(t)
	right := 0
	for n := range *unseenEnds {
		code := []int{0, 1, 7, 42, 125, 126, 127, 255}[n%8]
		id := fmt.Sprintf("task-%d", n)
		release := h.gated(t, id, code)
		if n%2 == 0 {
			h.killDaemon(t)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		release()
		h.recorded(t, id)
		again := host{Runtime: reopen(t, h.cfg.DataDir), image: h.image}
		exit, out := again.end(t, id), again.output(t, id, runtime.Stdout)
		if exit.Code != code || exit.Error != "" || exit.Ended.IsZero() || out != "before\nafter\n" {
			t.Errorf("exit %+v, want %d; stdout %q", exit, code, out)
			continue
		}
		right++
		if err := again.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		h = again
	}
	t.Logf("%d of %d right", right, *unseenEnds)
}

func TestTaskWhoseInitIsKilledFromOutsideStillEnds(t *testing.T) {
	h := open(t)
	h.gated(t, "task", 0)
	if err := unix.Kill(h.processesOf(t, "task")[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if exit := h.end(t, "task"); exit.Code != 137 || exit.Signal != 9 || exit.OOM || !exit.Lost || exit.Error == "" {
		t.Errorf("exit %+v", exit)
	}
}

// A machine that shuts down stops every process, asks each to end, and lets all go on.
// Nobody may take that for the job's own end, nor our own asking for that.
func TestTheEndOfAMachineIsNotTheJobs(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		trap string
		code int
		lost bool
	}{{"", 143, true}, {"trap 'exit 3' TERM; ", 3, true}, {"trap 'exit 0' TERM; ", 0, false}} {
		id := fmt.Sprintf("task-%d", c.code)
		h.waiting(t, id, c.trap)
		pids := h.processesOf(t, id)
		for _, s := range []unix.Signal{unix.SIGSTOP, unix.SIGTERM, unix.SIGCONT} {
			for _, pid := range slices.Backward(pids) {
				if err := unix.Kill(pid, s); err != nil && !errors.Is(err, unix.ESRCH) {
					t.Fatal(err)
				}
			}
		}
		if exit := h.end(t, id); exit.Code != c.code || exit.Lost != c.lost || exit.Ended.IsZero() {
			t.Errorf("exit %+v, want %+v", exit, c)
		}
	}
	h.waiting(t, "stopped", "")
	if err := h.Stop(t.Context(), "stopped", time.Minute); err != nil {
		t.Fatal(err)
	}
	if exit := h.end(t, "stopped"); exit.Code != 143 || exit.Lost || exit.Error != "" {
		t.Errorf("exit %+v", exit)
	}
}

// waiting starts a task that has begun to wait.
func (h host) waiting(t *testing.T, id, before string) {
	t.Helper()
	h.shell(t, runtime.Spec{ID: id}, before+"echo up; while :; do sleep 0.1; done")
	r, err := h.Output(t.Context(), id, runtime.Stdout, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
}

// processesOf are a task's processes, its init first.
func (h host) processesOf(t *testing.T, id string) (pids []int) {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(cgroupRoot, "pids", h.namespace, id, "cgroup.procs"))
	if err != nil {
		list, err = os.ReadFile(filepath.Join(cgroupRoot, h.namespace, id, "cgroup.procs"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for f := range strings.FieldsSeq(string(list)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func TestEveryStartSurvivesOrLeavesNothingWhenContainerdDies(t *testing.T) {
	h := open(t)
	for n := range 8 {
		id := fmt.Sprintf("task-%d", n)
		started := make(chan error)
		go func() {
			started <- h.Start(t.Context(), runtime.Spec{ID: id, Image: h.image, Command: []string{"sh", "-c", "exit 5"}})
		}()
		// Somewhere in the middle of it: as far as that gets until these files are there.
		awaitAny(t, filepath.Join(h.paths.task(id), "rec"), h.paths.tasks, n)
		h.killDaemon(t)
		if err := <-started; err != nil {
			t.Logf("start: %v", err)
			if _, err := h.Status(t.Context(), id); !errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("a start that failed left a task: %v", err)
			}
			continue
		}
		if exit := h.end(t, id); exit.Code != 5 {
			t.Errorf("exit %+v", exit)
		}
	}
	if err := h.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
}

// Such a folder is there when containerd died between making it and writing it down.
func TestASnapshotsFolderThatNobodyKnowsIsInNobodysWay(t *testing.T) {
	snapshots := func(dir string) string {
		return filepath.Join(pathsOf(dir, "").root, "io.containerd.snapshotter.v1.overlayfs", "snapshots")
	}
	h := openAfter(t, func(dir string) error { return os.MkdirAll(filepath.Join(snapshots(dir), "1", "fs"), 0o711) }) // the first of all
	h.killDaemon(t)
	dir := snapshots(h.cfg.DataDir)
	known, err := os.ReadDir(dir)
	if err != nil || len(known) == 0 {
		t.Fatal(known, err)
	}
	for n := range 100 {
		if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(n+1), "fs"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if exit, _ := h.run(t, runtime.Spec{}, "exit 5"); exit.Code != 5 {
		t.Errorf("exit %+v", exit)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > len(known)+1 {
		t.Errorf("%d folders of snapshots were known, %d are there, %v", len(known), len(left), err)
	}
}

// awaitAny waits for n changes of a folder, or of the one above while it is not there.
func awaitAny(t *testing.T, dir, above string, n int) {
	t.Helper()
	w, err := newWatch(t.Context(), dir)
	if err != nil {
		if w, err = newWatch(t.Context(), above); err != nil {
			t.Fatal(err)
		}
		n = 0
	}
	defer w.Close()
	for range min(n, 1) {
		if err := w.Next(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSweepRemovesWhatAKilledContainerdForgot(t *testing.T) {
	h := open(t)
	h.gated(t, "task", 0)
	// As after a crash that took containerd's memory of the task with it.
	if err := os.RemoveAll(h.paths.task("task")); err != nil {
		t.Fatal(err)
	}
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := h.traces(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestShutdownRefusesWhileATaskRuns(t *testing.T) {
	h := open(t)
	h.gated(t, "task", 0)
	if err := h.Shutdown(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("shutdown: %v", err)
	}
}

func TestDataFolderMayHaveALongPath(t *testing.T) {
	t.Setenv("TMPDIR", longDir(t))
	h := open(t)
	if exit, out := h.run(t, runtime.Spec{}, "echo here"); exit.Code != 0 || out != "here\n" {
		t.Errorf("exit %+v, stdout %q", exit, out)
	}
	if have, total := h.Held(t.Context(), h.image); have != total || total == 0 {
		t.Errorf("held %d of %d", have, total)
	}
}

// longDir is a folder whose path no socket could have, open to the users of tasks.
func longDir(t *testing.T) string {
	t.Helper()
	top, err := os.MkdirTemp("", "rigmesh-test-long-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	dir := filepath.Join(top, strings.Repeat("long/", 40))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
