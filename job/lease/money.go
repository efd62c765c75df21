package lease

import (
	"fmt"
	"math"
	"math/bits"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/heartbeat/seal"
)

// numbers are the terms in the units that the rules count in.
type numbers struct {
	interval    time.Duration
	first       time.Duration // length of intervals before anything is credited
	grace       time.Duration
	absentGrace time.Duration
	maxDuration time.Duration
	startBy     time.Time
	maxMissed   int // max_unpaid
	price       uint64
	gpus        int
	maxAmount   uint64
	maxCreditMS uint64 // what max_amount and max_duration pay for
	options     heartbeat.Options
	seal        seal.Params
}

func newNumbers(t *leasev1.Terms) (numbers, error) {
	n := numbers{
		interval:    milliseconds(t.GetIntervalMs()),
		grace:       milliseconds(t.GetGraceMs()),
		absentGrace: milliseconds(t.GetAbsentGraceMs()),
		maxDuration: milliseconds(t.GetMaxDurationMs()),
		startBy:     time.UnixMilli(t.GetStartByMs()),
		price:       t.GetPrice(),
		gpus:        len(t.GetGpuTags()),
		maxAmount:   t.GetMaxAmount(),
	}
	const year = 366 * 24 * time.Hour // keeps every product below within an int64 of nanoseconds
	for _, d := range []time.Duration{n.interval, n.absentGrace, n.maxDuration} {
		if d <= 0 || d > year {
			return numbers{}, fmt.Errorf("%w: a duration is not within a millisecond and a year", ErrTerms)
		}
	}
	if n.grace < 0 || n.grace > n.interval {
		return numbers{}, fmt.Errorf("%w: grace is longer than an interval", ErrTerms)
	}
	if t.GetMaxUnpaid() == 0 || time.Duration(t.GetMaxUnpaid()) > year/n.interval {
		return numbers{}, fmt.Errorf("%w: max_unpaid is %d intervals", ErrTerms, t.GetMaxUnpaid())
	}
	if err := seal.CheckTerms(t); err != nil {
		return numbers{}, fmt.Errorf("%w: %w", ErrTerms, err)
	}
	n.seal, _ = seal.Of(t)
	n.options = heartbeat.OptionsOf(t)
	n.maxMissed = int(t.GetMaxUnpaid())
	if n.first = n.interval; t.GetFirstIntervalMs() != 0 {
		n.first = milliseconds(t.GetFirstIntervalMs())
	}
	if n.first <= 0 || n.first > n.interval {
		return numbers{}, fmt.Errorf("%w: first_interval_ms is not within a millisecond and interval_ms", ErrTerms)
	}
	n.maxCreditMS = min(uint64(t.GetMaxDurationMs()), affordable(n.maxAmount, n.price, n.gpus))
	return n, nil
}

// amount is what a cumulative credit costs.
func (n numbers) amount(creditMS uint64) (uint64, error) {
	return job.Amount(creditMS, n.price, n.gpus)
}

// affordable is the most credit whose amount is not above max, found from
// credit × price × gpus < (max + 1) × 3,600,000.
func affordable(max, price uint64, gpus int) uint64 {
	const hour = 3_600_000
	over, perHour := bits.Mul64(price, uint64(gpus))
	if over != 0 {
		return 0
	}
	hi, lo := bits.Mul64(max, hour)
	lo, carry := bits.Add64(lo, hour-1, 0)
	hi += carry
	if hi >= perHour {
		return math.MaxUint64
	}
	credit, _ := bits.Div64(hi, lo, perHour)
	return credit
}

// meter counts the time that a task runs. It is a value.
type meter struct {
	countedMS uint64
	since     time.Time // when the count goes on from; zero while it stands
}

func (m meter) running() bool { return !m.since.IsZero() }

// at is the meter read at a moment, and set to go on from there; never above
// limit, and what ran beyond it is lost.
func (m meter) at(now time.Time, limitMS uint64) meter {
	if m.running() && now.After(m.since) {
		m.countedMS += uint64(now.Sub(m.since).Milliseconds())
		m.since = now
	}
	m.countedMS = min(m.countedMS, limitMS)
	return m
}

// from is the meter as it stood when it showed countedMS at a later moment.
func (m meter) from(countedMS uint64, at time.Time) meter {
	m.countedMS = max(m.countedMS, countedMS)
	if m.running() && at.After(m.since) {
		m.since = at
	}
	return m
}

func (m meter) stop() meter {
	m.since = time.Time{}
	return m
}

func milliseconds(ms int64) time.Duration {
	if ms > math.MaxInt64/int64(time.Millisecond) || ms < 0 {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}
