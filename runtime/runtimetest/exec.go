package runtimetest

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/carry"
)

// Exec runs e.Args as a script, through the mounts of a task. Pausing the task afterwards
// does not hold it.
func (m Memory) Exec(ctx context.Context, id string, e runtime.Exec) (runtime.Exit, error) {
	t, err := m.task("run a program in", id)
	if err != nil {
		return runtime.Exit{}, err
	}
	if s := t.status().State; s != runtime.Running {
		return runtime.Exit{}, fmt.Errorf("run a program in task %s: %w", id, runtime.ErrNotRunning)
	}
	x := t.beside(e)
	over := make(chan struct{})
	var steering, outputs sync.WaitGroup
	steering.Go(func() { x.steer(ctx, t, e.Signals, over) })
	outputs.Go(func() { x.pour(ctx, e.Stdout, runtime.Stdout) })
	outputs.Go(func() { x.pour(ctx, e.Stderr, runtime.Stderr) })
	x.run()
	outputs.Wait()
	close(over)
	steering.Wait()
	if ctx.Err() != nil {
		return runtime.Exit{}, fmt.Errorf("run a program in task %s: %w", id, ctx.Err())
	}
	return x.status().Exit, nil
}

// beside is a script that shares a task's environment and folders.
func (t *task) beside(e runtime.Exec) *task {
	spec := t.spec
	spec.Command, spec.Env, spec.Terminal = e.Args, slices.Concat(spec.Env, e.Env), e.Terminal != nil
	switch e.Program {
	case runtime.Pack, runtime.Unpack:
		spec.Command = []string{ownVerbs[e.Program] + " " + strings.Join(e.Args, " ")}
	}
	x := newScript(spec)
	x.stdin, x.dirs = e.Stdin, t.dirs
	return x
}

// ownVerbs are those that no script of a test's needs.
var ownVerbs = map[runtime.Program]string{runtime.Pack: "pack", runtime.Unpack: "unpack"}

func (t *task) pack(path string) error {
	return carry.Pack(scriptOutput{t}, t.path(path), func(string) {})
}

func (t *task) unpack(paths string) error {
	dest, base, _ := strings.Cut(paths, " ")
	return carry.Unpack(t.stdin, t.path(dest), base, carry.Options{Bytes: math.MaxInt64, Entries: math.MaxInt, OutsideLinks: true})
}

// scriptOutput is what a script writes, as it is.
type scriptOutput struct{ t *task }

func (o scriptOutput) Write(p []byte) (int, error) {
	o.t.write(runtime.Stdout, p)
	return len(p), nil
}

// steer passes signals on, and ends the script with its task or its caller.
func (t *task) steer(ctx context.Context, within *task, signals <-chan int, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case <-ctx.Done():
			t.kill(int(syscall.SIGHUP))
			return
		case <-within.ended:
			t.kill(int(syscall.SIGKILL))
			return
		case s := <-signals:
			if s == int(syscall.SIGTERM) {
				t.term()
			} else {
				t.kill(s)
			}
		}
	}
}

// pour copies one output of the script to a writer until the script has ended.
func (t *task) pour(ctx context.Context, to io.Writer, s runtime.Stream) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, _ = io.Copy(orDiscard(to), &reader{ctx: ctx, cancel: cancel, task: t, stream: s, follow: true})
}

// cat copies what there is to read, and says whether that went well.
func (t *task) cat() bool {
	if t.stdin == nil {
		return true
	}
	buf := make([]byte, 4096)
	for {
		n, err := t.stdin.Read(buf)
		t.write(runtime.Stdout, buf[:n])
		if err != nil {
			return err == io.EOF
		}
	}
}
