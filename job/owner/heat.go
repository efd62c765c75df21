package owner

import (
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

// stage is how far a device that is too hot has come: first it draws less, then
// its task stands still, then it is given up.
type stage uint8

const (
	cool stage = iota
	throttled
	frozen
	givenUp
)

const (
	// settle is how long a step is given to show in the temperature.
	settle = 15 * time.Second
	// slack is how far below the ceiling a device must be before a step is taken back.
	slack = 5
	// danger is how far above the ceiling nothing is tried any more.
	danger = 12
	// rest is how long a device that was given up is not lent.
	rest = 5 * time.Minute
	// steps is how many parts the range of the power limit is gone through in.
	steps = 5
)

// heat is a device's stage, and since when.
type heat struct {
	stage stage
	since time.Time
	limit uint32 // milliwatts, when throttled; 0: not limited for heat
}

// step goes one stage up or down. The ceiling is in °C; 0: there is none.
func (h heat) step(now time.Time, s gpu.Sample, ceiling int16, power gpu.PowerLimits) heat {
	if ceiling == 0 {
		return heat{}
	}
	if !s.Has(gpu.ReadTemperature) || s.At.IsZero() {
		return h
	}
	settled := now.Sub(h.since) >= settle
	switch t := s.Temperature; {
	case t >= ceiling+danger && h.stage != givenUp:
		return heat{givenUp, now, power.Least}
	case t >= ceiling && (h.stage == cool || settled):
		return h.up(now, power)
	case t <= ceiling-slack && h.stage != cool && settled:
		return h.down(now, power)
	}
	return h
}

func (h heat) up(now time.Time, power gpu.PowerLimits) heat {
	switch h.stage {
	case cool, throttled:
		if lower := h.lower(power); lower > 0 {
			return heat{throttled, now, lower}
		}
		return heat{frozen, now, power.Least}
	case frozen:
		return heat{givenUp, now, power.Least}
	}
	h.since = now // the rest begins anew while it is hot
	return h
}

func (h heat) down(now time.Time, power gpu.PowerLimits) heat {
	switch h.stage {
	case givenUp:
		if now.Sub(h.since) < rest {
			return h
		}
		return heat{since: now}
	case frozen:
		return heat{throttled, now, power.Least}
	}
	higher := h.limit + (power.Most-power.Least)/steps
	if power.Most == 0 || higher >= power.Most {
		return heat{since: now}
	}
	return heat{throttled, now, higher}
}

// lower is the next lower power limit; 0 when there is none.
func (h heat) lower(power gpu.PowerLimits) uint32 {
	if power.Most == 0 {
		return 0
	}
	now := power.Most
	if h.limit > 0 {
		now = h.limit
	}
	if now <= power.Least {
		return 0
	}
	return max(power.Least, now-min(now, max(1, (power.Most-power.Least)/steps)))
}

// decide says what a stage means.
func (h heat) decide(s gpu.Sample, ceiling int16) (Action, string) {
	read := fmt.Sprintf("%d °C, and your ceiling is %d °C", s.Temperature, ceiling)
	switch h.stage {
	case throttled:
		return Lend, fmt.Sprintf("held to %d W: it was too hot", h.limit/1000)
	case frozen:
		return Pause, "its task stands still to cool it: " + read
	case givenUp:
		return HandBack, "given up, and left to cool: " + read
	}
	return Lend, ""
}
