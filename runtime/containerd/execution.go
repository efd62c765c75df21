//go:build linux

package containerd

import (
	"context"
	"io"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
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
