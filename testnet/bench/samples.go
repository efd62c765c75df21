//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// samples are the repeats of one measurement, in the unit of whoever took them.
type samples []float64

// add takes a duration, as milliseconds.
func (s *samples) add(d time.Duration) { *s = append(*s, float64(d)/float64(time.Millisecond)) }

// at is the value below which a share of the samples lies; 0 without any.
func (s samples) at(share float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func (s samples) median() float64 { return s.at(0.5) }

// spread is the middle eight tenths of the samples.
func (s samples) spread() string {
	if len(s) < 3 {
		return ""
	}
	return fmt.Sprintf("%s to %s, n = %d", short(s.at(0.1)), short(s.at(0.9)), len(s))
}

// over divides samples by those of a floor: turn by turn, where they were taken in
// turns, so that what disturbed the machine for a moment cancels out.
func (s samples) over(floor samples) samples {
	if len(s) != len(floor) {
		return samples{s.median() / floor.median()}
	}
	ratios := make(samples, len(s))
	for i := range s {
		ratios[i] = s[i] / floor[i]
	}
	return ratios
}

// short prints a number with as many digits as it deserves.
func short(v float64) string {
	switch {
	case v < 1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// by is samples in another unit.
func (s samples) by(factor float64) samples {
	out := make(samples, len(s))
	for i, v := range s {
		out[i] = v * factor
	}
	return out
}
