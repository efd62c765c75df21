package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rigmesh/rigmesh/job/clock"
	"github.com/rigmesh/rigmesh/job/journal"
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

// settle keeps a fresh clock, which is not to be behind what was recorded last of a
// lease that lives; zero when there is none.
func (c *machineClock) settle(last time.Time) error {
	if !c.fresh {
		return nil
	}
	if !last.IsZero() {
		c.Clock = c.After(last)
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

// slept is how long this machine was asleep or off, of a count of its own.
func (c *machineClock) slept() time.Duration {
	r, err := readClocks()
	if err != nil {
		return c.Slept
	}
	return c.Off(r)
}
