//go:build linux

package containerd

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// final is what is kept of an ended task: its Exit and what it used.
type final struct {
	Exit    runtime.Exit  `json:"exit"`
	CPUTime time.Duration `json:"cpuTime"`
}

// Wait blocks until the task has ended and says how.
func (r *Runtime) Wait(ctx context.Context, id string) (runtime.Exit, error) {
	var exit runtime.Exit
	asking, stop := undated(ctx)
	defer stop()
	err := r.do(asking, func(ctx context.Context, c *client.Client) error {
		f, ended, err := r.ended(id)
		if err != nil || ended {
			exit = f.Exit
			return err
		}
		err = awaitTask(ctx, c, id)
		if now, ended, _ := r.ended(id); ended { // and its shim may have been let go of while it was asked
			exit = now.Exit
			return nil
		}
		if err != nil {
			return err
		}
		f, err = r.settle(ctx, c, id)
		exit = f.Exit
		return err
	})
	if err != nil {
		err = cmp.Or(ctx.Err(), err) // containerd has a text of its own for it
		return runtime.Exit{}, fmt.Errorf("wait for task %s: %w", id, err)
	}
	return exit, nil
}

// undated ends when ctx does and has no deadline: containerd would see that too, and say so in
// words of its own before ctx has ended.
func undated(ctx context.Context) (context.Context, func()) {
	same, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	return same, func() { stop(); cancel() }
}

// ended reads how a task ended, if that is settled. ErrNotFound when there is no such task.
func (r *Runtime) ended(id string) (final, bool, error) {
	var f final
	ok, err := record.Read(r.paths.task(id), finalFile, &f)
	if ok || err != nil {
		return f, ok, err
	}
	if _, err := os.Lstat(r.paths.task(id)); err != nil || !taskIDs.MatchString(id) {
		return f, false, runtime.ErrNotFound
	}
	return f, false, nil
}

// awaitTask returns when containerd says that the task has stopped or is not there.
func awaitTask(ctx context.Context, c *client.Client, id string) error {
	task, err := findTask(ctx, c, id)
	if task == nil || err != nil {
		return err
	}
	stopped, err := task.Wait(ctx)
	if err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case status := <-stopped:
			// When the daemon dies there is a status too, with an error as gRPC has it.
			if err = status.Error(); err != nil {
				err = errgrpc.ToNative(err)
			}
		}
	}
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// settle decides once and for all how a task ended and keeps that. The shim is let go of
// afterwards: whoever waits for the end, or comes second, need not wait for that too.
func (r *Runtime) settle(ctx context.Context, c *client.Client, id string) (final, error) {
	defer r.ends.lock(id)()
	if f, ended, err := r.ended(id); err != nil || ended {
		return f, err
	}
	unlock := r.ids.lock(id)
	f, task, err := r.keepEnd(ctx, c, id)
	if task == nil {
		unlock()
		return f, err
	}
	r.letting.Go(func() { // the lock goes along
		defer unlock()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWithin)
		defer cancel()
		// With the task goes its shim. Should that fail, a sweep does it.
		if _, err := task.Delete(ctx); err != nil && !errdefs.IsNotFound(err) {
			r.log.Debug("shim of an ended task stays for now", "task", id, "err", err)
		}
	})
	return f, nil
}

// keepEnd keeps how a task ended, unless that is kept already, and gives what is left of it in
// containerd. The init's record comes first: it is exact, and there even when the task
// ended while no daemon looked.
func (r *Runtime) keepEnd(ctx context.Context, c *client.Client, id string) (final, client.Task, error) {
	f, ended, err := r.ended(id)
	if err != nil || ended {
		return f, nil, err
	}
	task, err := findTask(ctx, c, id)
	if err != nil {
		return f, nil, err
	}
	var status client.Status
	if task != nil {
		if status, err = task.Status(ctx); err != nil && !errdefs.IsNotFound(err) {
			return f, nil, err
		}
		if err == nil && status.Status != client.Stopped {
			return f, nil, fmt.Errorf("task is %s", status.Status)
		}
	}
	if f.Exit, err = r.exitOf(id, status); err != nil {
		return f, nil, err
	}
	f.Exit.Full = f.Exit.Code != 0 && r.diskFull(id)
	f.CPUTime = r.cgroup(id).cpuTime()
	if err := record.Write(r.paths.task(id), finalFile, f); err != nil {
		return f, nil, err
	}
	if err := r.disconnect(id); err != nil {
		r.log.Warn("network of an ended task stays for now", "task", id, "err", err)
	}
	return f, task, nil
}

// exitOf says how a task ended: as its init recorded it, or, where the init could not
// (it was killed, the disk was full, or the host went down), as well as can be known.
func (r *Runtime) exitOf(id string, status client.Status) (runtime.Exit, error) {
	var e record.Exit
	ok, err := record.Read(r.paths.record(id), record.ExitFile, &e)
	if err != nil {
		return runtime.Exit{}, err
	}
	stopped, killed := record.Marked(r.paths.task(id), stopFile), record.Marked(r.paths.task(id), killFile)
	if ok {
		exit := runtime.Exit{Code: e.Code, Signal: e.Signal, OOM: e.OOM && !killed, Killed: killed && e.Signal == int(unix.SIGKILL), Started: e.Started, Ended: e.Ended, Error: e.Error}
		// A program that ends with 0 all the same had come to its end.
		if e.Told && !stopped && e.Code != 0 && e.Error == "" {
			exit.Lost, exit.Error = true, "asked to end, and not by its node"
		}
		return exit, nil
	}
	exit := runtime.Exit{Code: 125, Started: r.startedAt(id), Ended: status.ExitTime}
	if exit.Ended.IsZero() {
		exit.Ended = time.Now()
	}
	oom := r.cgroup(id).oomKills() > 0
	switch {
	case killed:
		exit.Code, exit.Signal, exit.Killed = 137, int(unix.SIGKILL), true
	case !exit.Started.IsZero() && handedOn(status):
		exit.Code = int(status.ExitStatus)
		exit.OOM = oom && exit.Code != 0
	case oom:
		exit.Code, exit.Signal, exit.OOM = 137, int(unix.SIGKILL), true
	case status.Status == client.Stopped && status.ExitStatus > 128:
		exit.Code, exit.Signal = int(status.ExitStatus), int(status.ExitStatus)-128
		exit.Error, exit.Lost = "killed, and not by its node", true
	case exit.Started.IsZero():
		exit.Error = "never started"
	default:
		exit.Lost = true
		exit.Error = "nothing saw its end"
	}
	return exit, nil
}

// handedOn says whether what the init exited with is what the job did. Above 128 either may
// have been killed, 125 is the init's own failure, and 2 what Go gives one of its own.
func handedOn(status client.Status) bool {
	return status.Status == client.Stopped && status.ExitStatus <= 128 && status.ExitStatus != 125 && status.ExitStatus != 2
}

func (r *Runtime) startedAt(id string) time.Time {
	fi, err := os.Stat(r.paths.output(id, record.StartedFile))
	if err != nil {
		return time.Time{}
	}
	return fi.ModTime()
}
