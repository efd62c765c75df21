//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// initKillsWithin is how long the init gets to kill the job and record it before it
// is killed itself.
const initKillsWithin = 5 * time.Second

// Stop sends SIGTERM, and SIGKILL after grace.
func (r *Runtime) Stop(ctx context.Context, id string, grace time.Duration) error {
	if err := r.stop(ctx, id, grace); err != nil {
		return fmt.Errorf("stop task %s: %w", id, err)
	}
	return nil
}

func (r *Runtime) stop(ctx context.Context, id string, grace time.Duration) error {
	if _, ended, err := r.ended(id); err != nil || ended {
		return err
	}
	if err := r.awaitStarted(ctx, id); err != nil {
		return err
	}
	// Written first: this is what tells us from a machine that shuts down.
	if err := record.Mark(r.paths.task(id), stopFile); err != nil {
		return err
	}
	if err := r.signal(ctx, id, unix.SIGTERM); err != nil {
		return err
	}
	if ended, err := r.endsWithin(ctx, id, grace); ended || err != nil {
		return err
	}
	// Written first: when the kill beats the init's record, this is what tells it
	// from lack of memory.
	if err := record.Mark(r.paths.task(id), killFile); err != nil {
		return err
	}
	if err := r.signal(ctx, id, record.KillSignal); err != nil {
		return err
	}
	if ended, err := r.endsWithin(ctx, id, initKillsWithin); ended || err != nil {
		return err
	}
	if err := r.signal(ctx, id, unix.SIGKILL, client.WithKillAll); err != nil {
		return err
	}
	_, err := r.Wait(ctx, id)
	return err
}

// endsWithin waits for the task to end, for so long.
func (r *Runtime) endsWithin(ctx context.Context, id string, d time.Duration) (bool, error) {
	within, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, err := r.Wait(within, id)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// signal thaws a task and sends it a signal. A task that has ended needs none.
func (r *Runtime) signal(ctx context.Context, id string, s syscall.Signal, opts ...client.KillOpts) error {
	return r.withTask(ctx, id, func(ctx context.Context, task client.Task) error {
		status, err := task.Status(ctx)
		if err != nil {
			return err
		}
		if status.Status == client.Paused {
			if err := task.Resume(ctx); err != nil {
				return err
			}
		}
		return task.Kill(ctx, s, opts...)
	})
}

// withTask calls f with containerd's task. None there, or gone meanwhile, is no error:
// whoever waits learns how it ended.
func (r *Runtime) withTask(ctx context.Context, id string, f func(context.Context, client.Task) error) error {
	err := r.do(ctx, func(ctx context.Context, c *client.Client) error {
		task, err := findTask(ctx, c, id)
		if task == nil || err != nil {
			return err
		}
		if err := f(ctx, task); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		return nil
	})
	// A shim that is let go of while it is asked something leaves an error of its own.
	if _, ended, _ := r.ended(id); ended {
		return nil
	}
	return err
}

// awaitStarted waits, not for long, until the init has its signal handlers: before
// that PID 1 loses what is sent to it.
func (r *Runtime) awaitStarted(ctx context.Context, id string) error {
	started := func() bool { return record.Marked(r.paths.record(id), record.StartedFile) }
	if started() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	w, err := newWatch(ctx, r.paths.record(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	for !started() {
		if w.Next() != nil {
			return nil // it never starts: the next steps end it all the same
		}
	}
	return nil
}

// Warn passes SIGUSR1 to the task's init, which hands it on if the job handles it.
func (r *Runtime) Warn(ctx context.Context, id string) error {
	_, ended, err := r.ended(id)
	if err == nil && !ended {
		if err = r.awaitStarted(ctx, id); err == nil {
			err = r.signal(ctx, id, record.WarnSignal)
		}
	}
	if err != nil {
		return fmt.Errorf("warn task %s: %w", id, err)
	}
	return nil
}

// Pause freezes every process of the task.
func (r *Runtime) Pause(ctx context.Context, id string) error {
	return r.freeze(ctx, "pause", id, client.Running, client.Task.Pause)
}

// Resume thaws every process of the task.
func (r *Runtime) Resume(ctx context.Context, id string) error {
	return r.freeze(ctx, "resume", id, client.Paused, client.Task.Resume)
}

// freeze calls f on a task that stands as f expects; it may have been called before.
func (r *Runtime) freeze(ctx context.Context, verb, id string, from client.ProcessStatus, f func(client.Task, context.Context) error) error {
	_, ended, err := r.ended(id)
	if err == nil && ended {
		err = errEnded
	}
	if err == nil {
		err = r.withTask(ctx, id, func(ctx context.Context, task client.Task) error {
			status, err := task.Status(ctx)
			if err != nil || status.Status != from {
				return err
			}
			return f(task, ctx)
		})
	}
	if err != nil {
		return fmt.Errorf("%s task %s: %w", verb, id, err)
	}
	return nil
}

var errEnded = errors.New("task has ended")

// Remove ends a task if it runs and deletes all it left.
func (r *Runtime) Remove(ctx context.Context, id string) error {
	_, ended, err := r.ended(id)
	if errors.Is(err, runtime.ErrNotFound) {
		return nil
	}
	r.sweeping.RLock()
	defer r.sweeping.RUnlock()
	if !ended {
		err = record.Mark(r.paths.task(id), killFile)
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		unlock := r.ids.lock(id)
		err = r.discard(ctx, id)
		unlock()
	}
	if err != nil {
		return fmt.Errorf("remove task %s: %w", id, err)
	}
	return nil
}
