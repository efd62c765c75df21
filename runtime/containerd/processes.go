//go:build linux

package containerd

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/client"

	"github.com/rigmesh/rigmesh/runtime"
)

// Processes lists the processes of a task as the host numbers them.
func (r *Runtime) Processes(ctx context.Context, id string) ([]uint32, error) {
	var pids []uint32
	err := r.do(ctx, func(ctx context.Context, c *client.Client) error {
		pids = nil
		task, err := findTask(ctx, c, id)
		if err != nil {
			return err
		}
		if task == nil {
			return runtime.ErrNotFound
		}
		all, err := task.Pids(ctx)
		for _, p := range all {
			pids = append(pids, p.Pid)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("processes of task %s: %w", id, err)
	}
	return pids, nil
}
