//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/containerd/api/services/tasks/v1"
	apitask "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"github.com/rigmesh/rigmesh/runtime"
)

// Status tells how one task stands.
func (r *Runtime) Status(ctx context.Context, id string) (runtime.Status, error) {
	s, err := r.status(ctx, id)
	if err != nil {
		return s, fmt.Errorf("status of task %s: %w", id, err)
	}
	return s, nil
}

func (r *Runtime) status(ctx context.Context, id string) (runtime.Status, error) {
	s := runtime.Status{ID: id}
	err := r.do(ctx, func(ctx context.Context, c *client.Client) error {
		f, ended, err := r.ended(id)
		if err == nil && !ended {
			s.State, err = r.state(ctx, c, id)
			switch now, over, _ := r.ended(id); {
			case over: // meanwhile, and its shim may have been let go of while it was asked
				f, ended, err = now, true, nil
			case err == nil && s.State == runtime.Exited:
				f, err = r.settle(ctx, c, id)
				ended = true
			}
		}
		if err != nil {
			return err
		}
		if ended {
			s.State, s.Exit, s.CPUTime = runtime.Exited, f.Exit, f.CPUTime
			return nil
		}
		cg := r.cgroup(id)
		s.CPUTime, s.MemoryBytes = cg.cpuTime(), cg.memory()
		return nil
	})
	return s, err
}

// state is what containerd says. A task it does not know has exited, unless it is
// just being started.
func (r *Runtime) state(ctx context.Context, c *client.Client, id string) (runtime.State, error) {
	found, err := c.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: id})
	switch err = errgrpc.ToNative(err); {
	case errdefs.IsNotFound(err) && r.ids.locked(id):
		return runtime.Created, nil
	case errdefs.IsNotFound(err):
		return runtime.Exited, nil
	case err != nil:
		return 0, err
	}
	switch found.Process.Status {
	case apitask.Status_CREATED:
		return runtime.Created, nil
	case apitask.Status_PAUSED, apitask.Status_PAUSING:
		return runtime.Paused, nil
	case apitask.Status_STOPPED:
		return runtime.Exited, nil
	default:
		return runtime.Running, nil
	}
}

// List tells how every task of this runtime stands.
func (r *Runtime) List(ctx context.Context) ([]runtime.Status, error) {
	entries, err := os.ReadDir(r.paths.tasks)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	var all []runtime.Status
	for _, e := range entries {
		s, err := r.status(ctx, e.Name())
		if errors.Is(err, runtime.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list tasks: %s: %w", e.Name(), err)
		}
		all = append(all, s)
	}
	return all, nil
}
