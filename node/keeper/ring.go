package keeper

import (
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

// kept is how many samples of a device are remembered: ten minutes of them.
const kept = 600

// ring is the newest samples of one device.
type ring struct {
	samples []gpu.Sample
	next    int       // where the next one goes, once the ring is full
	last    time.Time // when the newest came, by the node's clock
}

func (r *ring) add(s gpu.Sample, now time.Time) {
	r.last = now
	if len(r.samples) < kept {
		r.samples = append(r.samples, s)
		return
	}
	r.samples[r.next] = s
	r.next = (r.next + 1) % kept
}

// newest is the last sample; the zero one before there is any.
func (r *ring) newest() gpu.Sample {
	if len(r.samples) == 0 {
		return gpu.Sample{}
	}
	return r.samples[(r.next+len(r.samples)-1)%len(r.samples)]
}

// since gives the samples taken later than a moment, the oldest first.
func (r *ring) since(at time.Time) []gpu.Sample {
	var out []gpu.Sample
	for i := range r.samples {
		if s := r.samples[(r.next+i)%len(r.samples)]; s.At.After(at) {
			out = append(out, s)
		}
	}
	return out
}

// Samples are the readings of devices taken later than a moment, device by
// device, the oldest first; at most ten minutes of them.
func (k *Keeper) Samples(uuids []string, since time.Time) []gpu.Sample {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []gpu.Sample
	for _, uuid := range uuids {
		if w := k.find(uuid); w != nil {
			out = append(out, w.ring.since(since)...)
		}
	}
	return out
}
