package clock

import (
	"testing"
	"time"
)

var noon = time.UnixMilli(1_800_000_000_000)

func TestAClockRunsEvenlyThroughSleepAndChangesOfTheWallClock(t *testing.T) {
	c, fresh := Begin(Clock{}, Reading{Boot: "a", Up: time.Hour, Awake: 50 * time.Minute, Wall: noon})
	if !fresh {
		t.Fatal("the first clock is not fresh")
	}
	for name, r := range map[string]Reading{
		"an hour":                  {Up: 2 * time.Hour, Awake: 110 * time.Minute, Wall: noon.Add(time.Hour)},
		"of which half was slept":  {Up: 2 * time.Hour, Awake: 80 * time.Minute, Wall: noon.Add(time.Hour)},
		"the wall is set a day on": {Up: 2 * time.Hour, Awake: 110 * time.Minute, Wall: noon.Add(25 * time.Hour)},
		"and a day back":           {Up: 2 * time.Hour, Awake: 110 * time.Minute, Wall: noon.Add(-23 * time.Hour)},
	} {
		r.Boot = "a"
		again, fresh := Begin(c, r)
		if now := again.Now(r); fresh || !now.Equal(noon.Add(time.Hour)) {
			t.Errorf("%s: %s, fresh %t", name, now, fresh)
		}
		if off, want := again.Off(r), 110*time.Minute-r.Awake; off != want {
			t.Errorf("%s: asleep for %s, not %s", name, off, want)
		}
	}
}

func TestAfterABootTheClockIsNeverBehindWhatIsRecorded(t *testing.T) {
	const up = 3 * time.Minute
	kept := Clock{Boot: "a", Up: time.Hour, Wall: noon, Slept: time.Second}
	last := noon.Add(2 * time.Hour)
	for name, c := range map[string]struct{ wall, want time.Time }{
		"a good wall clock": {last.Add(10 * time.Minute), last.Add(10 * time.Minute)},
		"an hour behind":    {last.Add(-time.Hour), last.Add(up)},
		"a day behind":      {last.Add(-24 * time.Hour), last.Add(up)},
		"of long ago":       {time.Unix(0, 0), last.Add(up)},
		"a day ahead":       {last.Add(24 * time.Hour), last.Add(24 * time.Hour)},
	} {
		r := Reading{Boot: "b", Up: up, Awake: up, Wall: c.wall}
		clock, fresh := Begin(kept, r)
		clock = clock.After(last)
		if now := clock.Now(r); !fresh || !now.Equal(c.want) {
			t.Errorf("%s: %s, not %s", name, now, c.want)
		}
		if off := clock.Off(r); off != time.Second+c.want.Sub(last) {
			t.Errorf("%s: off for %s", name, off)
		}
	}
}

func TestAnAnchorOfTheFutureIsAnotherBoots(t *testing.T) {
	if _, fresh := Begin(Clock{Boot: "a", Up: time.Hour}, Reading{Boot: "a", Up: time.Minute}); !fresh {
		t.Error("it is gone on with")
	}
}

func TestAClockBeginsAnewAtTheWallAndKeepsWhatWasSlept(t *testing.T) {
	c, _ := Begin(Clock{Slept: time.Second}, Reading{Boot: "a", Up: time.Hour, Awake: time.Hour, Wall: noon})
	for _, set := range []time.Duration{0, 5 * time.Hour, -2 * time.Hour} {
		r := Reading{Boot: "a", Up: 2 * time.Hour, Awake: 110 * time.Minute, Wall: noon.Add(time.Hour + set)}
		if got := c.Drift(r); got != set {
			t.Errorf("set by %s: %s ahead", set, got)
		}
		anew := c.Anew(r)
		if now := anew.Now(r); !now.Equal(r.Wall) {
			t.Errorf("set by %s: %s, not %s", set, now, r.Wall)
		}
		if got, want := anew.Off(r), c.Off(r); got != want {
			t.Errorf("set by %s: asleep for %s, not %s", set, got, want)
		}
	}
}
