//go:build linux

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// Exec runs one more program in a running task. It is not tried again when the daemon
// dies: nobody could say how often the program would have run.
func (r *Runtime) Exec(ctx context.Context, id string, e runtime.Exec) (runtime.Exit, error) {
	exit, err := r.exec(ctx, id, e)
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return runtime.Exit{}, fmt.Errorf("run a program in task %s: %w", id, err)
	}
	return exit, nil
}

func (r *Runtime) exec(ctx context.Context, id string, e runtime.Exec) (runtime.Exit, error) {
	job, err := r.jobBeside(id, e)
	if err != nil {
		return runtime.Exit{}, err
	}
	c, err := r.connect(ctx)
	if err != nil {
		return runtime.Exit{}, err
	}
	ctx = namespaces.WithNamespace(ctx, r.namespace)
	task, err := runningTask(ctx, c, id)
	if err == nil {
		err = r.awaitStarted(ctx, id) // or its init is not there to be run once more
	}
	if err != nil {
		return runtime.Exit{}, err
	}
	x := &execution{Exec: e, id: "exec-" + strings.ToLower(rand.Text()), output: newQuiet(), over: make(chan struct{})}
	defer close(x.over)
	unlock := r.execs.lock(x.id)
	dir := filepath.Join(r.paths.execs(id), x.id)
	err = os.MkdirAll(dir, 0o700)
	if err == nil {
		err = x.begin(ctx, task, job, dir)
	}
	var exit runtime.Exit
	if err == nil {
		exit, err = x.run(ctx)
	}
	go func() { // the shim waits ten seconds for what the program left behind to let go of its pipes
		x.letGo(context.WithoutCancel(ctx))
		_ = os.RemoveAll(dir)
		unlock()
	}()
	return exit, err
}

// jobBeside is e as the user of a task's job, with its environment.
func (r *Runtime) jobBeside(id string, e runtime.Exec) (record.Job, error) {
	var job record.Job
	_, ended, err := r.ended(id)
	if err != nil {
		return job, err
	}
	if ended {
		return job, fmt.Errorf("it has ended: %w", runtime.ErrNotRunning)
	}
	if len(e.Args) == 0 {
		return job, errors.New("no program is named")
	}
	ok, err := record.Read(r.paths.record(id), record.JobFile, &job)
	if err == nil && !ok {
		err = fmt.Errorf("it is being started: %w", runtime.ErrNotRunning)
	}
	job.Args, job.Env, job.Workdir = e.Args, overlay(job.Env, e.Env), e.Workdir
	if word := ownWords[e.Program]; word != "" {
		job.Own, job.Args = true, append([]string{"rigmesh-init", word}, e.Args...)
	}
	return job, err
}

// ownWords begin the arguments of the init's own programs.
var ownWords = map[runtime.Program]string{runtime.Pack: record.PackWord, runtime.Unpack: record.UnpackWord}

// overlay is an environment with other variables over it.
func overlay(below, above []string) []string {
	env := slices.DeleteFunc(slices.Clone(below), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.ContainsFunc(above, func(other string) bool { return strings.HasPrefix(other, name+"=") })
	})
	return append(env, above...)
}

// runningTask is containerd's task of an ID, if a program can be put into it.
func runningTask(ctx context.Context, c *client.Client, id string) (client.Task, error) {
	task, err := findTask(ctx, c, id)
	if err != nil {
		return nil, err
	}
	if task == nil {
		return nil, runtime.ErrNotRunning
	}
	status, err := task.Status(ctx)
	switch {
	case errdefs.IsNotFound(err), err == nil && status.Status == client.Stopped:
		return nil, fmt.Errorf("it has ended: %w", runtime.ErrNotRunning)
	case err != nil:
		return nil, err
	case status.Status == client.Paused, status.Status == client.Pausing:
		return nil, fmt.Errorf("it is frozen: %w", runtime.ErrNotRunning)
	case status.Status != client.Running:
		return nil, fmt.Errorf("it is being started: %w", runtime.ErrNotRunning)
	}
	return task, nil
}

// sweepExecs ends programs beside the jobs of tasks that live, whose caller was a node
// that is gone.
func (r *Runtime) sweepExecs(ctx context.Context, live map[string]bool) error {
	var problems []error
	for id := range live {
		entries, err := os.ReadDir(r.paths.execs(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		problems = append(problems, err)
		for _, e := range entries {
			if r.execs.locked(e.Name()) {
				continue // one of ours
			}
			problems = append(problems, r.withTask(ctx, id, func(ctx context.Context, task client.Task) error {
				p, err := task.LoadProcess(ctx, e.Name(), nil)
				if err != nil {
					return err
				}
				return remove(ctx, p)
			}), os.RemoveAll(filepath.Join(r.paths.execs(id), e.Name())))
		}
	}
	return errors.Join(problems...)
}
