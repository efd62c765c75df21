package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rigmesh/rigmesh/job/clock"
	"github.com/rigmesh/rigmesh/job/journal"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// machineClock tells the time that leases are counted in by this machine's clocks.
type machineClock struct {
	clock.Clock
	path  string
	fresh bool // of a boot that no process has kept a clock of
}

// openClock goes on with the clock of an earlier process of this boot. A fresh one is
// kept by settle.
func openClock(path string) (*machineClock, error) {
	r, err := readClocks()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var kept clock.Clock
	if json.Unmarshal(b, &kept) != nil {
		kept = clock.Clock{} // of a crash in the middle, say: it begins anew
	}
	c := &machineClock{path: path}
	c.Clock, c.fresh = clock.Begin(kept, r)
	return c, nil
}

// maxDrift is how far the clock on the wall may be from ours before anybody minds: others
// take what is five minutes off for stale.
const maxDrift = time.Minute

// settle keeps a fresh clock, which is not to be behind what was recorded last of a
// lease that lives. Without one, last is zero, and a clock that the one on the wall went
// away from begins anew.
func (c *machineClock) settle(last time.Time) error {
	switch {
	case c.fresh && !last.IsZero():
		c.Clock = c.After(last)
	case !c.fresh && last.IsZero() && c.drift().Abs() > maxDrift:
		r, err := readClocks()
		if err != nil {
			return err
		}
		c.Clock = c.Anew(r)
	case !c.fresh:
		return nil
	}
	b, err := json.Marshal(c.Clock)
	if err != nil {
		return err
	}
	if err := journal.WriteFile(c.path, b); err != nil {
		return fmt.Errorf("keep the clock: %w", err)
	}
	c.fresh = false
	return nil
}

func (c *machineClock) now() time.Time {
	r, err := readClocks()
	if err != nil {
		return time.Now() // it worked when the node started
	}
	return c.Now(r)
}

// drift is how far the clock on the wall is ahead of this one.
func (c *machineClock) drift() time.Duration {
	r, err := readClocks()
	if err != nil {
		return 0
	}
	return c.Drift(r)
}

// clockConditions say when the clock on the wall was set since the node started: offers, bids
// and announcements are still dated and judged by what it showed before.
func (n *Node) clockConditions() []*controlv1.Condition {
	if n.clock == nil {
		return nil
	}
	drift := n.clock.drift().Round(time.Second)
	if drift.Abs() <= maxDrift {
		return nil
	}
	way := "forward"
	if drift < 0 {
		way = "back"
	}
	return []*controlv1.Condition{{
		Code: "clock", Severity: "warning",
		Sentence: fmt.Sprintf("this machine's clock was set %s by %s since the node started, and the node goes by the old time", way, drift.Abs()),
		Remedy:   "when no lease is running, start the node again: it takes the new time",
	}}
}

// slept is how long this machine was asleep or off, of a count of its own.
func (c *machineClock) slept() time.Duration {
	r, err := readClocks()
	if err != nil {
		return c.Slept
	}
	return c.Off(r)
}
