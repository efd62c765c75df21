//go:build linux && cgo

package main

import (
	"sync"
	"time"

	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// The bounds of a watch's period.
const (
	leastPeriod = 10 * time.Millisecond
	mostPeriod  = time.Minute
)

// stuckAfter is how long a reading may take before its device is said to hang.
// Readings take milliseconds; a busy driver has been seen to take a quarter of a second.
const stuckAfter = 700 * time.Millisecond

// watch reads every unit once a period from now on, and tells of Xid errors.
func (s *server) watch(period time.Duration) error {
	if period < leastPeriod || period > mostPeriod {
		return &failure{nvmlv1.Error_CODE_RANGE, "watch every " + period.String() + ": want 10 ms to a minute"}
	}
	units, err := s.lib.units()
	if err != nil {
		return err
	}
	all := make([]*watched, len(units))
	for i, u := range units {
		all[i] = newWatched(u)
		go all[i].run(s.lib)
	}
	s.mu.Lock()
	s.watched = all
	s.mu.Unlock()
	go s.report(all, period)
	go s.xids(units)
	return nil
}

// report sends, once a period, what was read since.
func (s *server) report(all []*watched, period time.Duration) {
	for range time.Tick(period) {
		var samples nvmlv1.Samples
		for _, w := range all {
			if sample := w.take(); sample != nil {
				samples.Samples = append(samples.Samples, sample)
			}
			w.again()
		}
		s.send(&nvmlv1.Reply{What: &nvmlv1.Reply_Samples{Samples: &samples}})
	}
}

// stuck lists the units that do not answer.
func (s *server) stuck() []*nvmlv1.Stuck {
	s.mu.Lock()
	all := s.watched
	s.mu.Unlock()
	var stuck []*nvmlv1.Stuck
	for _, w := range all {
		if since := w.stuck(); since > stuckAfter {
			stuck = append(stuck, &nvmlv1.Stuck{Uuid: w.unit.uuid, SinceMs: uint64(since.Milliseconds())})
		}
	}
	return stuck
}

// watched is one unit and the goroutine that reads it: alone, because a reading may never end.
type watched struct {
	unit unit
	wake chan struct{}

	mu      sync.Mutex
	started time.Time // of the reading under way; zero: none
	read    time.Time // of sample
	sample  *nvmlv1.Sample
}

func newWatched(u unit) *watched {
	w := &watched{unit: u, wake: make(chan struct{}, 1)}
	w.again()
	return w
}

// again asks for one more reading; one is under way or asked for at most.
func (w *watched) again() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watched) run(lib *library) {
	for range w.wake {
		w.begin()
		w.end(lib.read(w.unit))
	}
}

func (w *watched) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started = time.Now()
}

func (w *watched) end(s *nvmlv1.Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.started, w.read, w.sample = time.Time{}, time.Now(), s
}

// take is the sample read since the last call, with its age; nil when there is none.
func (w *watched) take() *nvmlv1.Sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sample
	if s != nil {
		s.AgeMs = uint64(time.Since(w.read).Milliseconds())
	}
	w.sample = nil
	return s
}

// stuck is how long the reading under way has taken.
func (w *watched) stuck() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started.IsZero() {
		return 0
	}
	return time.Since(w.started)
}
