package sim

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/testnet/history"
)

// writePoints is how many places in a job the disk fails at, on each side.
const writePoints = 100

// A full disk holds a lease up until there is room again; its node stays up. With a disk
// that fails for good the node ends and says so, and goes on from what is on the disk when
// it is started again. Either way nothing is lost and nothing is done twice.
func TestADiskThatFailsAtAnyWriteLosesAndDoublesNothing(t *testing.T) {
	every := 19
	if *killSeeds > 0 {
		every = 1
	}
	for side := range sides {
		for _, fails := range []struct {
			name string
			err  syscall.Errno
		}{{"full", syscall.ENOSPC}, {"broken", syscall.EIO}, {"read-only", syscall.EROFS}} {
			for at := 0; at < writePoints; at += every {
				t.Run(fmt.Sprintf("%s/%s/%d", sides[side], fails.name, at), func(t *testing.T) {
					p2ptest.Bubble(t, func(t *testing.T) { failWrite(t, side, fails.err, at) })
				})
			}
		}
	}
}

// failWrite runs a job while one side's disk fails from its nth write on, for ten seconds
// when it is full, and until it is replaced otherwise.
func failWrite(t *testing.T, side int, fails syscall.Errno, at int) {
	disks := [2]*journal.Memory{journal.NewMemory(), journal.NewMemory()}
	m := Network(t, Setting{Files: disks[renter]}, Setting{GPUs: "rtx-4090", Price: price, Files: disks[lender]})
	settle()
	var since time.Time
	left, lasts := at, 10*time.Second
	if fails != syscall.ENOSPC {
		lasts = never
	}
	disks[side].Fail = func(op, name string) error {
		// The head is written in place, and needs no more room than it has.
		if op != "write" || fails == syscall.ENOSPC && !strings.HasSuffix(name, ".log") {
			return nil
		}
		if left--; left >= 0 {
			return nil
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < lasts {
			return fails
		}
		return nil
	}
	sub := submission(t, m[renter], "print started", "sleep 15s", "exit 7")
	sub.WaitMs = (5 * time.Minute).Milliseconds()
	id, err := m[renter].Requester().Submit(t.Context(), sub)
	if err != nil { // its person is told, and tries again
		disks[side].Fail = nil
		if fails != syscall.ENOSPC {
			restartOn(m[side], disks[side])
		}
		if id, err = m[renter].Requester().Submit(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
	}
	if fails != syscall.ENOSPC {
		select {
		case <-m[side].Failed():
			disks[side].Fail = nil
			restartOn(m[side], disks[side])
		case <-time.After(time.Minute): // the job did not write that much
		}
	}
	exited(t, follow(t, m[renter], id), 7)
	if out := output(t, m[renter], id, runtime.Stdout); out != "started\n" {
		t.Errorf("the task printed %q", out)
	}
	time.Sleep(2 * time.Minute)
	if left := tasksOf(t, m[lender]); len(left) != 0 {
		t.Errorf("tasks left: %v", left)
	}
	for i := range m {
		disks[i].Fail = nil
		m[i].Stop()
		if _, err := history.ReadFS(disks[i]); err != nil {
			t.Errorf("history of the %s: %v", sides[i], err)
		}
	}
}

// restartOn ends what is left of a machine's node, and starts it on a disk that works.
func restartOn(m *Machine, disk journal.FS) {
	m.Crash(disk)
	time.Sleep(time.Second)
	m.Start()
	time.Sleep(time.Second) // for it to take jobs
}
