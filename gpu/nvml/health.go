package nvml

import (
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// missedPeriods is how many periods a device that the helper still watches may
// give nothing, while it does not hang either.
const missedPeriods = 5

// health says of every device whether it can be trusted. It is pure: who calls
// it says what was seen and when.
type health struct {
	period  time.Duration
	devices []*ward // in the order in which they were given
}

// ward is one watched device.
type ward struct {
	uuid, card string // card: the UUID of the card it is, or is a slice of
	fault      gpu.Fault
	sticky     bool // only a reset of the card, and so a new start, ends it
	last       time.Time
	xids       uint32
	lastXid    uint32
}

func newHealth(devices []gpu.Device, period time.Duration, now time.Time) *health {
	h := &health{period: period}
	for _, d := range devices {
		card := d.UUID
		if d.Slice() {
			card = d.MIG.Parent
		}
		h.devices = append(h.devices, &ward{uuid: d.UUID, card: card, fault: d.Fault, sticky: d.Fault != gpu.FaultNone, last: now})
	}
	return h
}

// mark gives a device a fault, and is the change when that is news.
func (w *ward) mark(fault gpu.Fault, text string) []gpu.Change {
	if w.sticky || w.fault == fault {
		return nil
	}
	w.fault = fault
	return []gpu.Change{{UUID: w.uuid, Fault: fault, Text: text}}
}

// all marks every device.
func (h *health) all(fault gpu.Fault, text string) []gpu.Change {
	var changes []gpu.Change
	for _, w := range h.devices {
		changes = append(changes, w.mark(fault, text)...)
	}
	return changes
}

// sampled takes one period's samples. It fills in the Xids, which are counted here.
func (h *health) sampled(now time.Time, samples []*nvmlv1.Sample) ([]gpu.Sample, []gpu.Change) {
	read := make(map[string]*nvmlv1.Sample, len(samples))
	for _, s := range samples {
		read[s.Uuid] = s
	}
	var out []gpu.Sample
	var changes []gpu.Change
	for _, w := range h.devices {
		s := read[w.uuid]
		switch {
		case s == nil:
			if silent := now.Sub(w.last); w.fault != gpu.FaultHang && silent > missedPeriods*h.period {
				changes = append(changes, w.mark(gpu.FaultLost, fmt.Sprintf("the driver gave no reading for %s", silent.Round(time.Second)))...)
			}
		case s.Lost:
			w.last = now
			changes = append(changes, w.mark(gpu.FaultLost, "the card fell off the bus")...)
		default:
			w.last = now
			changes = append(changes, w.mark(gpu.FaultNone, "")...)
			sample := fromSample(s, now)
			sample.Xids, sample.LastXid = w.xids, w.lastXid
			out = append(out, sample)
		}
	}
	return out, changes
}

// stuck marks the devices that do not answer.
func (h *health) stuck(stuck []*nvmlv1.Stuck) []gpu.Change {
	var changes []gpu.Change
	for _, s := range stuck {
		for _, w := range h.devices {
			if w.uuid == s.Uuid {
				changes = append(changes, w.mark(gpu.FaultHang, "the driver does not answer for it")...)
			}
		}
	}
	return changes
}

// xid counts an error of a card; after some, the card and its slices are out of service until they were reset.
func (h *health) xid(card string, number uint32) []gpu.Change {
	text, bad := describeXid(number)
	var changes []gpu.Change
	for _, w := range h.devices {
		if w.card != card {
			continue
		}
		w.xids++
		w.lastXid = number
		if bad {
			changes = append(changes, w.mark(gpu.FaultXid, text)...)
			w.sticky = true
		}
	}
	return changes
}
