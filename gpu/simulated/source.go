package simulated

import (
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

	mu      sync.Mutex
	devices []gpu.Device
	states  []state
	set     map[string]uint32
}

// NewSource makes a source for devices that Devices made. busy says how much a
// device has to do, 0 to 1. Nil limits are forgotten when the process ends.
func NewSource(devices []gpu.Device, now func() time.Time, busy func(uuid string) float64, limits Limits) (*Source, error) {
	s := &Source{now: now, busy: busy, limits: limits, devices: devices, set: map[string]uint32{}}
	if limits != nil {
		set, err := limits.Load()
		if err != nil {
			return nil, fmt.Errorf("limits of simulated cards: %w", err)
		}
		for uuid, mw := range set {
			s.set[uuid] = mw
		}
	}
	for _, d := range devices {
		s.states = append(s.states, state{since: now(), degree: ambient + 8, limit: s.limit(d)})
	}
	return s, nil
}

func (s *Source) limit(d gpu.Device) uint32 {
	if mw, ok := s.set[d.UUID]; ok {
		return mw
	}
	return d.Power.Default
}

// Sample reads every device.
func (s *Source) Sample(ctx context.Context) ([]gpu.Sample, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]gpu.Sample, len(s.devices))
	for i, d := range s.devices {
		f := figuresOf(gpu.Model{Slug: d.Model})
		st := s.states[i].at(f, now)
		st.load = min(1, max(0, s.busy(d.UUID)))
		s.states[i] = st
		out[i] = st.sample(d, f)
	}
	return out, nil
}

// Watch implements the keeper's Source: a sample of every device once a second.
func (s *Source) Watch(ctx context.Context, _ []gpu.Device, w gpu.Watcher) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
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
