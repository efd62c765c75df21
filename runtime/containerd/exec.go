//go:build linux

package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

const (
	// startsWithin bounds putting a program into a task.
	startsWithin = 30 * time.Second
	// hangUpGrace is what a program has between the end of its caller and its own.
	hangUpGrace = 2 * time.Second
	// quietFor is how long after a program's end nothing more has to come before its
	// output counts as whole: what it left running may keep its pipes.
	quietFor = time.Second
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

// execution is one program beside the job of a task.
type execution struct {
	runtime.Exec
	id      string // containerd's
	process client.Process
	output  *quiet
	over    chan struct{} // closed when nobody serves it any more
	started time.Time
}

// begin puts the program into the task. It is not cut off: a program that was half
// started would be nobody's.
func (x *execution) begin(ctx context.Context, task client.Task, job record.Job, dir string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startsWithin)
	defer cancel()
	spec, err := task.Spec(ctx)
	if err != nil {
		return err
	}
	p, err := processBeside(spec.Process, job, x.Terminal)
	if err != nil {
		return err
	}
	fed := make(chan struct{})
	x.process, err = task.Exec(ctx, x.id, p, x.streams(dir, fed))
	if err != nil {
		return err
	}
	if err := x.process.Start(ctx); err != nil {
		_, _ = x.process.Delete(ctx)
		return err
	}
	x.started = time.Now()
	go x.closeStdin(context.WithoutCancel(ctx), fed)
	return nil
}

// processBeside is the task's init once more, about to become job: with all that the task
// is confined by.
func processBeside(first *specs.Process, job record.Job, terminal *runtime.Size) (*specs.Process, error) {
	words, err := job.Words()
	if err != nil {
		return nil, err
	}
	p := *first
	p.Args = append([]string{record.RunningInit, record.EnterWord}, words...)
	p.Env = []string{"PATH=", "GOMAXPROCS=2"} // as the init's own: nothing that a stranger wrote
	if terminal != nil {
		p.Terminal, p.ConsoleSize = true, &specs.Box{Height: uint(terminal.Rows), Width: uint(terminal.Columns)}
	}
	return &p, nil
}

// streams are pipes in dir between the program and its caller. fed is closed when there
// is no more to read.
func (x *execution) streams(dir string, fed chan struct{}) cio.Creator {
	var stdin io.Reader
	if x.Stdin != nil {
		stdin = &fedReader{x.Stdin, fed}
	}
	opts := []cio.Opt{cio.WithFIFODir(dir), cio.WithStreams(stdin, x.output.of(x.Stdout), x.output.of(x.Stderr))}
	if x.Terminal != nil {
		opts = append(opts, cio.WithStreams(stdin, x.output.of(x.Stdout), nil), cio.WithTerminal)
	}
	return cio.NewCreator(opts...)
}

// closeStdin tells the shim, which holds the pipe open too, that nothing more comes.
func (x *execution) closeStdin(ctx context.Context, fed <-chan struct{}) {
	if x.Stdin == nil {
		return
	}
	select {
	case <-fed:
	case <-x.over:
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cleanWithin)
	defer cancel()
	_ = x.process.CloseIO(ctx, client.WithStdinCloser) // when it has ended meanwhile: nothing to close
}

// run serves the program until it has ended.
func (x *execution) run(ctx context.Context) (runtime.Exit, error) {
	after := context.WithoutCancel(ctx)
	status, err := x.attend(ctx, after)
	if err == nil {
		err = status.Error()
	}
	if err != nil {
		_ = remove(after, x.process)
		return runtime.Exit{}, err
	}
	x.output.await(ctx, x.process.IO().Wait)
	exit := runtime.Exit{Code: int(status.ExitCode()), Started: x.started, Ended: status.ExitTime()}
	if exit.Code > 128 {
		exit.Signal = exit.Code - 128
	}
	return exit, nil
}

// letGo removes what containerd holds of a program that has ended. What that left behind
// goes with the task.
func (x *execution) letGo(ctx context.Context) {
	if x.process == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cleanWithin)
	defer cancel()
	_, _ = x.process.Delete(ctx)
}

// attend passes sizes and signals on until the program has ended. When ctx ends, the
// program hears that its caller hung up, and is killed soon after.
func (x *execution) attend(ctx, after context.Context) (client.ExitStatus, error) {
	ended, err := x.process.Wait(after)
	if err != nil {
		return client.ExitStatus{}, err
	}
	gone, kill := ctx.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case status := <-ended:
			return status, nil
		case size := <-x.Resized:
			_ = x.process.Resize(after, uint32(size.Columns), uint32(size.Rows))
		case s := <-x.Signals:
			_ = x.process.Kill(after, syscall.Signal(s))
		case <-gone:
			gone, kill = nil, time.After(hangUpGrace)
			_ = x.process.Kill(after, unix.SIGHUP)
		case <-kill:
			kill = time.After(cleanWithin)
			if err := x.process.Kill(after, unix.SIGKILL); err != nil {
				return client.ExitStatus{}, err
			}
		}
	}
}

// remove kills a program and lets go of it. containerd's own way asks for all processes of
// the container to be killed, does not get that for one beside the job, and waits for nothing then.
func remove(ctx context.Context, p client.Process) error {
	ctx, cancel := context.WithTimeout(ctx, cleanWithin)
	defer cancel()
	ended, err := p.Wait(ctx)
	if err != nil {
		return err
	}
	if err := p.Kill(ctx, unix.SIGKILL); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	<-ended // or ctx is
	_, err = p.Delete(ctx)
	return err
}

// fedReader closes fed at the end of what it reads.
type fedReader struct {
	io.Reader
	fed chan struct{}
}

func (r *fedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		close(r.fed) // io.Copy reads no more
	}
	return n, err
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
