package worker

import (
	"context"
	"fmt"

	"github.com/rigmesh/rigmesh/runtime"
)

// Cards makes devices ready for a tenant.
type Cards interface {
	// Prepare clears what the tenant before left in the memory of devices, and says
	// what a task needs of the host to use them. No task starts on a device that was
	// not cleared for it.
	Prepare(ctx context.Context, uuids []string) (runtime.Devices, error)
}

// prepareCards makes the lease's devices ready. It is done before a task and not
// after it: however the last one ended, and whoever died then, this one finds nothing.
func (n *tenancy) prepareCards(ctx context.Context) (runtime.Devices, error) {
	var uuids []string
	for _, d := range n.w.Config.Devices.Held(n.id.String()) {
		uuids = append(uuids, d.UUID)
	}
	if want := len(n.terms.GpuTags); len(uuids) != want {
		return runtime.Devices{}, fmt.Errorf("make the devices ready: %d of %d are here", len(uuids), want)
	}
	if n.w.Cards == nil {
		return runtime.Devices{}, nil
	}
	devices, err := n.w.Cards.Prepare(ctx, uuids)
	if err != nil {
		return runtime.Devices{}, fmt.Errorf("make the devices ready: %w", err)
	}
	return devices, nil
}
