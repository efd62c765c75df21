package keeper

import (
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job/owner"
)

// View is one device as it stands.
type View struct {
	Device   gpu.Device
	Sample   gpu.Sample // the newest; its At is zero while there is none
	Fault    gpu.Fault
	Decision owner.Decision
	Since    time.Time // since when it stands so
	Foreign  []gpu.Process
	Holder   string // id of the lease on it; empty without one
}

// Devices shows every device, in their order.
func (k *Keeper) Devices() []View {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []View
	for _, w := range k.wards {
		out = append(out, View{
			Device: w.device, Sample: w.ring.newest(), Fault: w.fault, Decision: w.decision, Since: w.since,
			Foreign: w.foreign, Holder: k.Books.Holder(w.device.UUID),
		})
	}
	return out
}

// IdleOnly says whether use of the machine by others counts now.
func (k *Keeper) IdleOnly() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rules.IdleOnly
}

// Lends says whether the owner's last word was to lend.
func (k *Keeper) Lends() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.word == word{}
}
