//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

// waiting is a job that runs until it is told to stop, and exits with 7.
const waiting = "trap 'exit 7' TERM; echo on; while :; do sleep 0.1; done"

// onDisk makes a data directory an ext4 file system of its own, small and with few files.
func (n *network) onDisk(dir string) {
	n.t.Helper()
	image := n.Path(dir + ".img")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 400<<20)); err != nil {
		n.t.Fatal(err)
	}
	n.must("mkfs.ext4", "-q", "-m", "0", "-N", "2000", image)
	n.mkdir(dir)
	n.disk = dir
	n.mount()
}

// mount mounts the disk; Clear, and a later lab's New, unmount it if nothing else does.
func (n *network) mount() {
	n.t.Helper()
	n.must("mount", "-o", "loop,errors=remount-ro", n.Path(n.disk+".img"), n.Path(n.disk))
}

// unmount waits for the last process to let go of the disk, also of those that began a mount
// namespace of their own meanwhile, and have it there: what is mounted again before that is as
// broken as it was.
func (n *network) unmount() {
	n.t.Helper()
	var err error
	n.until(func() bool {
		err = unix.Unmount(n.Path(n.disk), 0)
		return (err == nil || errors.Is(err, unix.EINVAL)) && !n.attached()
	}, func() string { return fmt.Sprintf("unmount %s: %v", n.disk, err) })
}

// attached says whether the disk's file is behind a block device.
func (n *network) attached() bool {
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	return slices.ContainsFunc(loops, func(loop string) bool {
		file, _ := os.ReadFile(loop)
		return strings.TrimSpace(string(file)) == n.Path(n.disk+".img")
	})
}

func (n *network) must(name string, args ...string) {
	n.t.Helper()
	if out, err := exec.CommandContext(n.ctx, name, args...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// kinds of room that a disk runs out of.
var kinds = []struct {
	name string
	fill func(n *network)
	told string // to the worker's owner
}{
	{"files", (*network).fillFiles, "no more files fit on the disk"},
	{"bytes", (*network).fillBytes, "is full"},
}

func (n *network) fillFiles() {
	n.mkdir(filepath.Join(n.disk, "filler"))
	for i := 0; ; i++ {
		f, err := os.Create(n.Path(n.disk, "filler", fmt.Sprint(i)))
		if errors.Is(err, syscall.ENOSPC) {
			return
		}
		if err = errors.Join(err, f.Close()); err != nil {
			n.t.Fatal(err)
		}
	}
}

// fillBytes fills to the last block: what is smaller than a page counts for a journal.
func (n *network) fillBytes() {
	n.mkdir(filepath.Join(n.disk, "filler"))
	f, err := os.Create(n.Path(n.disk, "filler", "0"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 1<<20)
	for len(page) > 512 {
		_, err := f.Write(page)
		if err = errors.Join(err, f.Sync()); errors.Is(err, syscall.ENOSPC) {
			page = page[:len(page)/2]
		} else if err != nil {
			n.t.Fatal(err)
		}
	}
}

func (n *network) makeRoom() {
	n.t.Helper()
	if err := os.RemoveAll(n.Path(n.disk, "filler")); err != nil {
		n.t.Fatal(err)
	}
}

// A worker whose disk is full bids on nothing, tells requesters and its owner why, and stays up,
// whatever it ran out of; with room it works again.
func TestAWorkerWithAFullDiskDeclinesAndRecovers(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			n := prepare(t, binary)
			n.onDisk(attic)
			n.startWorker()
			kind.fill(n)
			r := n.run("--disk", "16MiB", "--wait", "10s", "oci-archive:busybox.tar", "true")
			if r.code != 125 || !strings.Contains(r.stderr, "1 no room on the worker's disk") {
				t.Errorf("exit code %d, and its requester is told: %s", r.code, r.stderr)
			}
			if r := n.rigmesh("status", "--data", attic); r.code != 0 || !strings.Contains(r.stdout, kind.told) {
				t.Errorf("its owner is told: %s%s", r.stdout, r.stderr)
			}
			if ended(n.worker) {
				t.Error("the worker did not stay up")
			}
			n.makeRoom()
			if r := n.run("--disk", "16MiB", "oci-archive:busybox.tar", "sh", "-c", "exit 7"); r.code != 7 {
				t.Errorf("with room again: exit code %d: %s", r.code, r.stderr)
			}
		})
	}
}

// A disk that is full in the middle of a lease holds it up, on either side, and no longer than
// it is full.
func TestADiskThatFillsInTheMiddleOfALeaseHoldsItUp(t *testing.T) {
	for _, dir := range sampled([]string{attic, laptop}, 0) {
		for _, kind := range sampled(kinds, 1) {
			t.Run(dir+"/"+kind.name, func(t *testing.T) {
				n := prepare(t, binary)
				n.onDisk(dir)
				n.startWorker()
				requester := n.startRequester()
				job := n.detach("--disk", "16MiB", "oci-archive:busybox.tar", "sh", "-c", waiting)
				n.await(job, "on\n")
				kind.fill(n)
				if kind.name == "bytes" {
					n.awaitLog(dir, "no room for the journal")
				} else { // a lease needs no new file
					full := n.ps(job).Beats
					n.awaitJob(job, "going on", func(j listed) bool { return j.Beats > full+2 })
				}
				if ended(n.worker) || ended(requester) {
					t.Error("a node did not stay up")
				}
				n.makeRoom()
				n.stopped(job)
			})
		}
	}
}

// awaitLog waits until a node has said something.
func (n *network) awaitLog(name, text string) {
	n.t.Helper()
	n.until(func() bool {
		b, _ := os.ReadFile(n.Path(name + ".log"))
		return strings.Contains(string(b), text)
	}, func() string { return name + " did not say " + text + ":\n" + n.LastWords(name) })
}

// stopped stops the waiting job, which must end as it does, with the same receipt on both sides.
func (n *network) stopped(job string) {
	n.t.Helper()
	if r := n.rigmesh("stop", "--data", laptop, job); r.code != 0 {
		n.t.Errorf("stop: %s", r.stderr)
	}
	if r := n.rigmesh("attach", "--data", laptop, "--bootstrap", n.bootstrap, job); r.code != 7 {
		n.t.Errorf("attach exited with %d: %s", r.code, r.stderr)
	}
	n.awaitReceipts(job)
	if _, same := n.receipts(job); !same {
		n.t.Error("the two sides hold different receipts")
	}
}

// A file system that finds itself broken turns read-only under its node. The node ends and says why,
// and one that is started on the repaired disk goes on with the lease.
func TestADiskThatTurnsReadOnlyEndsItsNodeAndLosesNothing(t *testing.T) {
	for _, dir := range sampled([]string{laptop, attic}, 0) {
		t.Run(dir, func(t *testing.T) {
			n := prepare(t, binary)
			n.onDisk(dir)
			n.startWorker()
			node, again := n.worker, func() { n.startWorker() }
			job := ""
			if dir == laptop {
				node, again = n.startRequester(), func() { n.startRequester() }
				job = n.detach("--disk", "16MiB", "oci-archive:busybox.tar", "sh", "-c", waiting)
				n.await(job, "on\n")
			}
			n.breakDisk()
			if dir == attic { // with no task: its disk would lie on the broken one
				_ = n.run("--disk", "16MiB", "--wait", "5s", "oci-archive:busybox.tar", "true")
			}
			n.awaitEnd(node)
			// A sync that is under way as the disk breaks fails as on a device that breaks.
			if words := node.LastWords(); !strings.Contains(words, "read-only file system") && !strings.Contains(words, "input/output error") {
				t.Errorf("it does not say why:\n%s", words)
			}
			n.unmount()
			_ = exec.CommandContext(n.ctx, "e2fsck", "-fy", n.Path(dir+".img")).Run() // says 1 for what it repaired
			n.mount()
			again()
			if dir == attic {
				job = n.detach("--disk", "16MiB", "oci-archive:busybox.tar", "sh", "-c", waiting)
				n.await(job, "on\n")
			}
			n.stopped(job)
		})
	}
}

func (n *network) awaitEnd(p *lab.Process) {
	n.t.Helper()
	n.until(func() bool { return ended(p) }, func() string { return p.Name + " goes on:\n" + p.LastWords() })
}

// breakDisk makes the kernel find an error in the disk's file system, and turn it read-only.
func (n *network) breakDisk() {
	n.t.Helper()
	trigger := filepath.Join("/sys/fs/ext4", n.device(), "trigger_fs_error")
	if err := os.WriteFile(trigger, []byte("1"), 0); err != nil {
		n.t.Skipf("this machine lets nobody break a file system: %v", err)
	}
}

// device is the name of the disk's loop device.
func (n *network) device() string {
	n.t.Helper()
	out, err := exec.CommandContext(n.ctx, "findmnt", "-no", "SOURCE", n.Path(n.disk)).Output()
	if err != nil {
		n.t.Fatalf("find the device of %s: %v", n.disk, err)
	}
	return filepath.Base(strings.TrimSpace(string(out)))
}
