//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// Output reads one output of a task from an offset on.
func (r *Runtime) Output(ctx context.Context, id string, stream runtime.Stream, offset int64, follow bool) (io.ReadCloser, error) {
	out, err := r.openOutput(ctx, id, stream, offset, follow)
	if err != nil {
		return nil, fmt.Errorf("output of task %s: %w", id, err)
	}
	return out, nil
}

func (r *Runtime) openOutput(ctx context.Context, id string, stream runtime.Stream, offset int64, follow bool) (io.ReadCloser, error) {
	_, ended, err := r.ended(id)
	if err != nil {
		return nil, err
	}
	name := record.StdoutFile
	if stream == runtime.Stderr {
		name = record.StderrFile
	}
	f, err := os.Open(r.paths.output(id, name))
	if errors.Is(err, os.ErrNotExist) {
		return io.NopCloser(eof{}), nil // its start was cut off early
	}
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		_ = f.Close()
		return nil, err
	}
	if ended || !follow {
		return f, nil
	}
	return r.follow(ctx, id, f)
}

// follow makes f wait for more at its end until the task has ended.
func (r *Runtime) follow(ctx context.Context, id string, f *os.File) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	w, err := newWatch(ctx, f.Name())
	if err != nil {
		cancel()
		_ = f.Close()
		return nil, err
	}
	t := &follower{ctx: ctx, cancel: cancel, file: f, watch: w, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		_, t.err = r.Wait(ctx, id)
		w.Interrupt()
	}()
	return t, nil
}

// follower reads a file that grows. One goroutine waits for the task; Close ends it.
type follower struct {
	ctx    context.Context // of the Output call: it ends reads that block
	cancel context.CancelFunc
	file   *os.File
	watch  *watch
	done   chan struct{} // closed when the task has ended or err says why that is not known
	err    error
}

// Read gives io.EOF once the task has ended and everything was read.
func (f *follower) Read(p []byte) (int, error) {
	for {
		ended := f.ended() // before the read: what was written meanwhile is then still read
		n, err := f.file.Read(p)
		if n > 0 || (err != nil && err != io.EOF) || len(p) == 0 {
			return n, err
		}
		if ended {
			if f.err != nil && !errors.Is(f.err, runtime.ErrNotFound) {
				return 0, f.err
			}
			return 0, io.EOF
		}
		if f.watch.Next() != nil {
			<-f.done // the task has ended, or ctx has, which ends that wait too
		}
	}
}

func (f *follower) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// Close ends a Read that blocks and lets go of the file.
func (f *follower) Close() error {
	f.cancel()
	<-f.done
	return errors.Join(f.watch.Close(), f.file.Close())
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
