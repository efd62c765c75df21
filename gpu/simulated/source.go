package simulated

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

// Limits keeps the power limits of simulated cards where a crash of the node
// does not change them, as a real card keeps its own.
type Limits interface {
	// Load gives the limits that were set, by UUID, in milliwatts.
	Load() (map[string]uint32, error)
	// Save keeps them.
	Save(map[string]uint32) error
}

// Source reads and sets simulated devices. It is safe for concurrent use.
type Source struct {
	now    func() time.Time
	busy   func(uuid string) float64
	limits Limits

	began time.Time

	mu      sync.Mutex
	devices []gpu.Device
	flaky   map[string]bool
	states  []state
	set     map[string]uint32
}

// NewSource makes a source for the devices of a machine. busy says how much a
// device has to do, 0 to 1. Nil limits are forgotten when the process ends.
func NewSource(m Machine, now func() time.Time, busy func(uuid string) float64, limits Limits) (*Source, error) {
	s := &Source{now: now, began: now(), busy: busy, limits: limits, devices: m.Devices, flaky: m.flaky, set: map[string]uint32{}}
	if limits != nil {
		set, err := limits.Load()
		if err != nil {
			return nil, fmt.Errorf("limits of simulated cards: %w", err)
		}
		for uuid, mw := range set {
			s.set[uuid] = mw
		}
	}
	for _, d := range m.Devices {
		s.states = append(s.states, state{since: now(), degree: ambient + 8, limit: s.limit(d)})
	}
	return s, nil
}

func (s *Source) limit(d gpu.Device) uint32 {
	if mw, ok := s.set[d.UUID]; ok {
		return mw
	}
	return cmp.Or(d.Power.Default, figuresOf(gpu.Model{Slug: d.Model}).most) // a slice has its card's
}

// Sample reads every device that answers.
func (s *Source) Sample(ctx context.Context) ([]gpu.Sample, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []gpu.Sample
	for i, d := range s.devices {
		f := figuresOf(gpu.Model{Slug: d.Model})
		st := s.states[i].at(f, now)
		st.load = min(1, max(0, s.busy(d.UUID)))
		s.states[i] = st
		if life := s.life(i, now); life.answers() {
			out = append(out, life.mark(st.sample(d, f)))
		}
	}
	return out, nil
}

// Watch implements the keeper's Source: a sample of every device once a second, and
// what flaky ones come to.
func (s *Source) Watch(ctx context.Context, _ []gpu.Device, w gpu.Watcher) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := map[string]gpu.Fault{}
	for {
		s.tell(w, told)
		if all, err := s.Sample(ctx); err == nil {
			w.Samples(all)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// SetPowerLimit sets how much a card may draw, in milliwatts; 0: its default.
func (s *Source) SetPowerLimit(_ context.Context, uuid string, milliwatts uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, d := range s.devices {
		if d.UUID != uuid {
			continue
		}
		if life := s.life(i, s.now()); life.fault != gpu.FaultNone {
			return fmt.Errorf("power limit of %s: %s", uuid, life.text)
		}
		if d.Slice() {
			return fmt.Errorf("power limit of %s: a slice has none of its own; its card has", uuid)
		}
		if milliwatts == 0 {
			milliwatts = d.Power.Default
		}
		if milliwatts < d.Power.Least || milliwatts > d.Power.Most {
			return fmt.Errorf("power limit of %s: want %d to %d mW, not %d", uuid, d.Power.Least, d.Power.Most, milliwatts)
		}
		s.set[uuid] = milliwatts
		if s.limits != nil {
			if err := s.limits.Save(s.set); err != nil {
				return fmt.Errorf("power limit of %s: %w", uuid, err)
			}
		}
		s.states[i] = s.states[i].at(figuresOf(gpu.Model{Slug: d.Model}), s.now())
		s.states[i].limit = milliwatts
		return nil
	}
	return fmt.Errorf("power limit of %s: %w", uuid, gpu.ErrUnknown)
}
