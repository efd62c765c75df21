//go:build linux

package containerd

import (
	"context"
	"fmt"

	"github.com/rigmesh/rigmesh/runtime"
)

// Processes lists the processes of a task as the host numbers them: ErrNotFound when it has none.
// containerd would start a program each time it is asked, and samples ask every second.
func (r *Runtime) Processes(_ context.Context, id string) ([]uint32, error) {
	_, ended, err := r.ended(id)
	var pids []uint32
	if err == nil && !ended {
		for _, pid := range processesIn(r.cgroup(id).dir("pids")) {
			pids = append(pids, uint32(pid))
		}
	}
	if err == nil && len(pids) == 0 {
		err = runtime.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("processes of task %s: %w", id, err)
	}
	return pids, nil
}
