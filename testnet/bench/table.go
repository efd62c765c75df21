//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
)

// A row is one line of the result.
type row struct {
	what     string
	goal     string // empty: a figure to compare with
	measured string
	ratio    string
	spread   string
	missed   bool
}

// A limit is a goal that a number is held against.
type limit struct {
	text    string
	atMost  float64 // 0: not bounded above
	atLeast float64 // 0: not bounded below
}

func atMost(v float64, text string) limit  { return limit{text: text, atMost: v} }
func atLeast(v float64, text string) limit { return limit{text: text, atLeast: v} }

func (l limit) missedBy(v float64) bool {
	return (l.atMost > 0 && v > l.atMost) || (l.atLeast > 0 && v < l.atLeast)
}

// plain is a figure held against a goal by its median.
func plain(what string, s samples, unit string, goal limit) row {
	return row{
		what: what, goal: goal.text, measured: short(s.median()) + " " + unit, spread: s.spread(),
		missed: goal.missedBy(s.median()),
	}
}

// against is a figure held against a goal by its ratio to a floor of the same run.
func against(what string, s samples, unit string, floor samples, goal limit) row {
	ratio := s.over(floor).median()
	r := plain(what, s, unit, limit{text: goal.text})
	r.ratio, r.missed = fmt.Sprintf("%.2f", ratio), goal.missedBy(ratio)
	return r
}

// A section is a table with a heading and what has to be known to read it.
type section struct {
	title string
	notes string
	rows  []row
}

// markdown writes sections, with a word on how many goals were missed.
func markdown(w io.Writer, m machine, sections []section) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Performance\n\nMeasured by `make bench`, which anybody can repeat: every figure here comes out of one run on one machine.\n"+
		"Machines differ and are noisy, so what counts is the ratio to the floor measured in the same run,\n"+
		"in turns with it. Measured is the median; ratio is the median of the ratios of each turn; spread is the middle eight\n"+
		"tenths of the repeats.\n\n%s\n", m)
	goals, missed := 0, 0
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		if s.notes != "" {
			fmt.Fprintf(&b, "%s\n\n", strings.TrimSpace(s.notes))
		}
		b.WriteString("| what | goal | measured | ratio | spread | |\n|---|---|---|---|---|---|\n")
		for _, r := range s.rows {
			verdict := ""
			if r.goal != "" {
				goals++
				verdict = "met"
			}
			if r.missed {
				missed++
				verdict = "**missed**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.what, r.goal, r.measured, r.ratio, r.spread, verdict)
		}
	}
	fmt.Fprintf(&b, "\n%d of %d goals met.\n", goals-missed, goals)
	_, err := io.WriteString(w, b.String())
	return err
}
