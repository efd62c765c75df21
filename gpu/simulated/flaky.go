package simulated

import (
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

// round is how long the life of a flaky card takes until it begins again, and apart
// how much later each next card of a machine begins.
const (
	round = 6 * time.Minute
	apart = 17 * time.Second
)

// failures are those of a round, in their order.
var failures = []struct {
	from, to time.Duration // since the round began
	life
}{
	{time.Minute, 90 * time.Second, life{fault: gpu.FaultHang, text: "the driver does not answer (simulated)"}},
	{150 * time.Second, 180 * time.Second, life{fault: gpu.FaultLost, text: "the card fell off the bus (simulated)"}},
	{240 * time.Second, 270 * time.Second, life{fault: gpu.FaultXid, text: "Xid 48: memory error that could not be corrected (simulated)"}},
}

// life is how a card does at a moment. The zero life works.
type life struct {
	fault gpu.Fault
	text  string
	xids  uint32 // so far
}

// answers says whether the card can be read.
func (l life) answers() bool { return l.fault == gpu.FaultNone || l.fault == gpu.FaultXid }

// mark adds to a sample what went wrong.
func (l life) mark(s gpu.Sample) gpu.Sample {
	s.Xids = l.xids
	if l.xids > 0 {
		s.LastXid = 48
	}
	return s
}

// life is how the card at a position does.
func (s *Source) life(position int, now time.Time) life {
	if !s.flaky[s.devices[position].UUID] {
		return life{}
	}
	age := max(0, now.Sub(s.began)-time.Duration(position)*apart)
	out := life{xids: uint32(age / round)}
	for _, f := range failures {
		at := age % round
		if f.fault == gpu.FaultXid && at >= f.from {
			out.xids++
		}
		if at >= f.from && at < f.to {
			out.fault, out.text = f.fault, f.text
		}
	}
	return out
}

// tell says which devices began or ceased to fail since told.
func (s *Source) tell(w gpu.Watcher, told map[string]gpu.Fault) {
	now := s.now()
	for i, d := range s.devices {
		l := s.life(i, now)
		if l.fault != told[d.UUID] {
			told[d.UUID] = l.fault
			w.Changed(gpu.Change{UUID: d.UUID, Fault: l.fault, Text: l.text})
		}
	}
}
