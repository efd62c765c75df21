package main

import (
	"time"

	"github.com/rigmesh/rigmesh/node/config"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// layouts are how a person writes a time; without a zone it is this machine's.
var layouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, time.DateOnly}

// sinceOf reads the value of --since, as a Unix time in ms; 0 for all.
func sinceOf(text string, now time.Time) (int64, error) {
	if text == "" {
		return 0, nil
	}
	var ago config.Duration
	if err := ago.Set(text); err == nil && ago >= 0 {
		return now.Add(-time.Duration(ago)).UnixMilli(), nil
	}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return max(1, at.UnixMilli()), nil
		}
	}
	return 0, usagef("--since %q: want a time ago, such as 10m, or a time, such as %s", text, now.Format("2006-01-02T15:04:05"))
}

// stamped passes the task's output on, with the time in front of each line when it is to
// have times.
type stamped struct {
	output
	times  bool
	inLine [2]bool // of each output: its last line has no end yet
}

// stampLayout is RFC 3339 with thousandths, of one width.
const stampLayout = "2006-01-02T15:04:05.000Z"

func (s *stamped) write(c *leasev1.Chunk, cameMS int64) error {
	if !s.times {
		return s.output.write(c)
	}
	stamp := "-"
	if cameMS > 0 {
		stamp = time.UnixMilli(cameMS).UTC().Format(stampLayout)
	}
	in := &s.inLine[0]
	if c.GetStderr() {
		in = &s.inLine[1]
	}
	var lines []byte
	for _, b := range c.GetData() {
		if !*in {
			lines = append(append(lines, stamp...), ' ')
		}
		lines = append(lines, b)
		*in = b != '\n'
	}
	return s.output.write(&leasev1.Chunk{Stderr: c.GetStderr(), Data: lines})
}
