// Package clock is the rules of the time that leases are counted in. As long as a lease
// lives it runs evenly, through suspends, restarts of the process and changes of the
// clock on the wall. After another boot it begins anew at the clock on the wall, and
// never before what is already recorded of a lease that lives; so it does when a process
// starts in the same boot, no lease lives, and the clock on the wall was set meanwhile.
//
// A [Clock] is a value; what a machine's own clocks show is handed in.
package clock

import "time"

// Reading is what a machine's clocks show at one moment.
type Reading struct {
	Boot  string        // which boot of the machine
	Up    time.Duration // since then, suspends included
	Awake time.Duration // since then, without them
	Wall  time.Time     // the clock on the wall, which people and programs set
}

func (r Reading) asleep() time.Duration { return r.Up - r.Awake }

// Clock is anchored in one boot. Keep it, so that the next process goes on with it.
type Clock struct {
	Boot   string        `json:"boot"`
	Up     time.Duration `json:"up"`     // when anchored
	Wall   time.Time     `json:"wall"`   // what this clock showed then
	Asleep time.Duration `json:"asleep"` // of this boot, when anchored
	Slept  time.Duration `json:"slept"`  // of all boots, when anchored
}

// Begin goes on with the clock that was kept last if the machine has not been booted
// since. Otherwise it anchors a new one, and fresh says so.
func Begin(kept Clock, r Reading) (c Clock, fresh bool) {
	if kept.Boot == r.Boot && kept.Up <= r.Up {
		return kept, false
	}
	return Clock{Boot: r.Boot, Up: r.Up, Wall: r.Wall.Round(0), Asleep: r.asleep(), Slept: kept.Slept}, true
}

// Drift is how far the clock on the wall is ahead of this one, below zero when behind: it
// was set since this one was anchored, or this machine's sleep was not counted.
func (c Clock) Drift(r Reading) time.Duration { return r.Wall.Round(0).Sub(c.Now(r)) }

// Anew is the clock anchored at the clock on the wall of now, for a time in which no lease lives.
func (c Clock) Anew(r Reading) Clock {
	return Clock{Boot: r.Boot, Up: r.Up, Wall: r.Wall.Round(0), Asleep: r.asleep(), Slept: c.Off(r)}
}

// After is a clock fresh from another boot, once it is known when anything was last
// recorded of a lease that lives: since then the machine was on for at least as long as
// it is up, and at most until that moment did it serve anybody.
func (c Clock) After(last time.Time) Clock {
	if least := last.Add(c.Up); c.Wall.Before(least) {
		c.Wall = least
	}
	c.Slept += c.Wall.Sub(last)
	return c
}

// Now is the time.
func (c Clock) Now(r Reading) time.Time { return c.Wall.Add(r.Up - c.Up) }

// Off is how long the machine was asleep or off, of a count that only grows.
func (c Clock) Off(r Reading) time.Duration { return c.Slept + r.asleep() - c.Asleep }
