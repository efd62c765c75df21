package main

import (
	"strings"
	"testing"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestSinceIsATimeAgoOrATime(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.FixedZone("here", 2*3600))
	for text, want := range map[string]time.Time{
		"10m": now.Add(-10 * time.Minute), "36h": now.Add(-36 * time.Hour),
		"2026-05-04T09:30:00Z": time.Date(2026, 5, 4, 9, 30, 0, 0, time.UTC), "2026-05-04T09:30": time.Date(2026, 5, 4, 7, 30, 0, 0, time.UTC),
		"2026-05-04": time.Date(2026, 5, 3, 22, 0, 0, 0, time.UTC),
	} {
		if got, err := sinceOf(text, now); err != nil || got != want.UnixMilli() {
			t.Errorf("%s: %v, %v, want %v", text, time.UnixMilli(got).UTC(), err, want.UTC())
		}
	}
	for _, text := range []string{"yesterday", "-10m", "10", "2026-13-01"} {
		if got, err := sinceOf(text, now); err == nil {
			t.Errorf("%q is %v", text, time.UnixMilli(got))
		}
	}
}

func TestEachLineBeginsWithTheTimeAtWhichItsBeginningCame(t *testing.T) {
	var out, errs strings.Builder
	s := stamped{output: output{&out, &errs}, times: true}
	for _, c := range []struct {
		stderr bool
		text   string
		came   int64
	}{
		{false, "one\ntw", 1000}, {true, "oh", 1500}, {false, "o\n", 2000}, {false, "three\n", 61_000}, {true, "!\n", 2000}, {false, "four", 0},
	} {
		if err := s.write(&leasev1.Chunk{Stderr: c.stderr, Data: []byte(c.text)}, c.came); err != nil {
			t.Fatal(err)
		}
	}
	const one, minute = "1970-01-01T00:00:01.000Z ", "1970-01-01T00:01:01.000Z "
	if want := one + "one\n" + one + "two\n" + minute + "three\n- four"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if want := "1970-01-01T00:00:01.500Z oh!\n"; errs.String() != want {
		t.Errorf("got %q, want %q", errs.String(), want)
	}
}
