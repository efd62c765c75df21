package node

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job/clock"
)

// opened is a clock as a node opens it, with what a lease that lives had last.
func opened(t *testing.T, path string, last time.Time) *machineClock {
	t.Helper()
	c, err := openClock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.settle(last); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheClockGoesOnAcrossProcessesOfOneBoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	first := opened(t, path, time.Time{})
	if d := time.Since(first.now()).Abs(); d > time.Minute {
		t.Errorf("a fresh clock is %s off the wall clock", d)
	}
	// The wall clock was set back a day since: what was kept says otherwise.
	moved := first.Clock
	moved.Wall = first.Wall.Add(24 * time.Hour)
	write(t, path, moved)
	second := opened(t, path, first.now().Add(1000*time.Hour))
	if d := second.now().Sub(first.now()); (d - 24*time.Hour).Abs() > time.Minute {
		t.Errorf("the next process of the same boot is %s ahead; want the day that was kept", d)
	}
	if a, b := second.now(), second.now(); b.Before(a) {
		t.Errorf("%s after %s", b, a)
	}
	if a, b := second.slept(), first.slept(); (a - b).Abs() > time.Second {
		t.Errorf("asleep for %s, and for %s", a, b)
	}
}

func TestTheClockBeginsAnewAfterAReboot(t *testing.T) {
	for name, change := range map[string]func(*clock.Clock){
		"another boot":         func(c *clock.Clock) { c.Boot = "another" },
		"an anchor to come":    func(c *clock.Clock) { c.Up += 1000 * time.Hour },
		"a file that is empty": nil,
	} {
		path := filepath.Join(t.TempDir(), "clock")
		c := opened(t, path, time.Time{}).Clock
		if change == nil {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			c.Wall = c.Wall.Add(-1000 * time.Hour)
			change(&c)
			write(t, path, c)
		}
		again := opened(t, path, time.Time{})
		if d := time.Since(again.now()).Abs(); d > time.Minute {
			t.Errorf("%s: %s off the wall clock", name, d)
		}
		kept := opened(t, path, time.Time{})
		if !kept.Wall.Equal(again.Wall) {
			t.Errorf("%s: the new clock is not kept", name)
		}
	}
}

func TestARebootWithAClockThatIsBehindDoesNotGoBehindALease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	c := opened(t, path, time.Time{}).Clock
	c.Boot = "another"
	write(t, path, c)
	last := time.Now().Add(24 * time.Hour) // the wall clock is a day behind it
	again := opened(t, path, last)
	if now := again.now(); now.Before(last) {
		t.Errorf("%s, and %s is recorded", now, last)
	}
	if off := again.slept(); off <= 0 {
		t.Errorf("off for %s: nothing was served between", off)
	}
	if third := opened(t, path, last); third.now().Before(last) {
		t.Error("the next process of this boot goes behind it")
	}
}

func TestAClockThatWasSetIsTakenOnceNoLeaseLives(t *testing.T) {
	for _, set := range []time.Duration{5 * time.Hour, -2 * time.Hour} {
		path := filepath.Join(t.TempDir(), "clock")
		c := opened(t, path, time.Time{}).Clock
		c.Wall = c.Wall.Add(-set) // it was anchored before the clock on the wall was set
		write(t, path, c)
		living := opened(t, path, time.Now())
		if d := living.drift(); (d - set).Abs() > time.Minute {
			t.Errorf("set by %s, and a lease lives: %s off; its time may not jump", set, d)
		}
		n := &Node{clock: living}
		if got := n.clockConditions(); len(got) != 1 || got[0].Code != "clock" {
			t.Errorf("set by %s: the node says %v", set, got)
		}
		n.clock = opened(t, path, time.Time{})
		if d := n.clock.drift().Abs(); d > time.Minute {
			t.Errorf("set by %s, and no lease lives: still %s off", set, d)
		}
		if got := n.clockConditions(); got != nil {
			t.Errorf("set by %s: the node says %v", set, got)
		}
		if kept := opened(t, path, time.Now()); kept.drift().Abs() > time.Minute {
			t.Errorf("set by %s: the new clock is not kept", set)
		}
	}
}

func write(t *testing.T, path string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
