package node

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheClockGoesOnAcrossProcessesOfOneBoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	first, err := openClock(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(first.now()).Abs(); d > time.Minute {
		t.Errorf("a fresh clock is %s off the wall clock", d)
	}
	// The wall clock was set back a day since: the anchor says otherwise.
	moved := *first
	moved.Wall = first.Wall.Add(24 * time.Hour)
	write(t, path, moved)
	second, err := openClock(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := second.now().Sub(first.now()); (d - 24*time.Hour).Abs() > time.Minute {
		t.Errorf("the next process of the same boot is %s ahead; want the anchor's day", d)
	}
	if a, b := second.now(), second.now(); b.Before(a) {
		t.Errorf("%s after %s", b, a)
	}
}

func TestTheClockBeginsAnewAfterAReboot(t *testing.T) {
	for name, change := range map[string]func(*clock){
		"another boot":         func(c *clock) { c.Boot = "another" },
		"an anchor to come":    func(c *clock) { c.Up += 1000 * time.Hour },
		"a file that is empty": nil,
	} {
		path := filepath.Join(t.TempDir(), "clock")
		c, err := openClock(path)
		if err != nil {
			t.Fatal(err)
		}
		if change == nil {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			c.Wall = c.Wall.Add(-1000 * time.Hour)
			change(c)
			write(t, path, *c)
		}
		again, err := openClock(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(again.now()).Abs(); d > time.Minute {
			t.Errorf("%s: %s off the wall clock", name, d)
		}
		kept, err := openClock(path)
		if err != nil || !kept.Wall.Equal(again.Wall) {
			t.Errorf("%s: the new anchor is not kept: %v, %v", name, kept, err)
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
