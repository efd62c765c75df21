package sim

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/journal/fault"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/testnet/history"
)

var killSeeds = flag.Int("kill-seeds", 0, "power cuts at every step of both journals, with this many seeds each; 0: a sample")

// The two machines of the kill matrix.
const (
	renter = iota
	lender
)

var sides = []string{renter: "requester", lender: "worker"}

// A power cut at any step of a lease, on either side, loses nothing and does nothing
// twice: one lease, one run of the task, its exact exit, one statement for each slot, and
// the same receipt on both sides. What the journal had not synced is kept or lost sector
// by sector.
func TestAPowerCutAtAnyStepLosesAndDoublesNothing(t *testing.T) {
	var steps [2][]fault.Step
	t.Run("uncut", func(t *testing.T) { steps = newCut(nil, 0, 0).run(t) })
	for side, all := range steps {
		if len(all) < 40 {
			t.Fatalf("the %s's journal went through %d steps: %v", sides[side], len(all), all)
		}
	}
	seeds, every := *killSeeds, 1
	if seeds == 0 {
		seeds, every = 1, 9 // about a dozen cuts on each side
	}
	cuts, missed := 0, 0
	for seed := range uint64(seeds) {
		for side, all := range steps {
			for i := int(seed) % every; i < len(all); i += every {
				c := newCut(&all[i], side, seed)
				t.Run(fmt.Sprintf("%s/%s/%d", sides[side], all[i], seed), func(t *testing.T) { c.run(t) })
				if cuts++; !c.cut {
					missed++
				}
			}
		}
	}
	// Challenges come at random moments, so one job has a beat more than another.
	if missed*5 > cuts {
		t.Errorf("%d of %d jobs never came to the step they were to be cut at", missed, cuts)
	}
	t.Logf("%d power cuts at %d steps of the requester and %d of the worker", cuts-missed, len(steps[renter]), len(steps[lender]))
}

// cut is one job during which the power goes once.
type cut struct {
	at   *fault.Step // nil: it stays
	side int
	seed uint64

	machines []*Machine
	disks    [2]*journal.Memory
	steps    [2][]fault.Step
	dark     chan struct{} // closed when the power is gone
	cut      bool          // it was
}

func newCut(at *fault.Step, side int, seed uint64) *cut {
	return &cut{at: at, side: side, seed: seed}
}

var errPower = errors.New("the power is gone")

func (c *cut) run(t *testing.T) [2][]fault.Step {
	p2ptest.Bubble(t, func(t *testing.T) {
		c.dark = make(chan struct{}) // of this bubble
		var files [2]journal.FS
		for side := range files {
			c.disks[side] = journal.NewMemory()
			files[side] = fault.Watch(c.disks[side], func(s fault.Step) error { return c.reach(side, s) })
		}
		c.machines = Network(t, Setting{Files: files[renter]}, Setting{GPUs: "rtx-4090", Price: price, Files: files[lender]})
		settle()
		sub := submission(t, c.machines[renter], "print started", "sleep 4s", "exit 7")
		sub.WaitMs = (5 * time.Minute).Milliseconds() // an award whose answer is lost holds the device for one
		id, err := c.machines[renter].Requester().Submit(t.Context(), sub)
		c.relight(t)
		c.settled(t, id, err == nil)
	})
	return c.steps
}

// reach notes a step, and takes the machine off the network when it is the one.
func (c *cut) reach(side int, s fault.Step) error {
	c.steps[side] = append(c.steps[side], s)
	if c.at == nil || side != c.side || s != *c.at {
		return nil
	}
	c.machines[side].Cut()
	close(c.dark)
	return errPower
}

// relight waits for the power to go, and starts the machine on what is left of its disk.
func (c *cut) relight(t *testing.T) {
	select {
	case <-c.dark:
	case <-time.After(time.Minute):
		return // the job never came to that step
	}
	c.cut = true
	m := c.machines[c.side]
	left := c.disks[c.side].PowerLoss(rand.New(rand.NewPCG(c.seed, uint64(len(c.steps[c.side])))))
	m.Crash(left)
	c.disks[c.side] = left
	time.Sleep(2 * time.Second)
	m.Start()
}

// settled checks what both sides hold when all is over. A job whose submission failed may
// be there or not; its person was told to try again.
func (c *cut) settled(t *testing.T, id string, submitted bool) {
	t.Helper()
	if !submitted && len(c.machines[renter].Requester().Jobs()) == 0 {
		return
	}
	if !submitted {
		id = c.machines[renter].Requester().Jobs()[0].ID.String()
	}
	events := follow(t, c.machines[renter], id)
	end := exited(t, events, 7)
	if out := output(t, c.machines[renter], id, runtime.Stdout); out != "started\n" {
		t.Errorf("the task printed %q", out)
	}
	time.Sleep(2 * time.Minute) // for the last word to reach a side that was away
	s := agreed(t, c.machines[renter], c.machines[lender], end.LeaseId)
	credited(t, s, 0, 8*time.Second)
	if left := tasksOf(t, c.machines[lender]); len(left) != 0 {
		t.Errorf("tasks left: %v", left)
	}
	if free := c.machines[lender].Worker().Live(); free != 0 {
		t.Errorf("%d leases are left on the worker", free)
	}
	for _, m := range c.machines {
		m.Stop()
	}
	for side, disk := range c.disks {
		c.honest(t, side, disk, end)
	}
}

// honest reads one side's journal with eyes of its own.
func (c *cut) honest(t *testing.T, side int, disk *journal.Memory, end *leasev1.JobEnded) {
	t.Helper()
	if _, err := history.ReadFS(disk); err != nil {
		t.Errorf("history of the %s: %v", sides[side], err)
	}
	j, err := journal.OpenFS(disk)
	if err != nil {
		t.Fatal(err)
	}
	var began []string
	err = j.Replay(func(r journal.Record) error {
		if name := fault.Name(r); name == "worker.event:task_running" || name == "requester.lease" {
			began = append(began, name)
		}
		return nil
	})
	if err != nil || len(slices.Compact(began)) != len(began) {
		t.Errorf("the %s's journal: %v, %v; want one lease and one run of lease %s", sides[side], strings.Join(began, " "), err, end.LeaseId)
	}
}
