package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
	"golang.org/x/sync/errgroup"
)

// WatchJob implements controlv1connect.ControlServiceHandler. Events come in their
// order, each output in its own; the last event comes after all output, so that
// a client that saw it has everything.
func (s *Server) WatchJob(ctx context.Context, req *controlv1.WatchJobRequest, stream *connect.ServerStream[controlv1.WatchJobResponse]) error {
	call := ctx
	items := make(chan *controlv1.WatchJobResponse)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	w := watch{jobs: s.Jobs, req: req, items: items}

	outputs, octx := errgroup.WithContext(ctx)
	if !req.EventsOnly {
		outputs.Go(func() error { return w.output(octx, runtime.Stdout, req.StdoutOffset) })
		outputs.Go(func() error { return w.output(octx, runtime.Stderr, req.StderrOffset) })
	}
	outputsDone := make(chan struct{})
	group.Go(func() error {
		defer close(outputsDone)
		return outputs.Wait()
	})
	if !req.LogsOnly {
		group.Go(func() error { return w.events(ctx, outputsDone) })
	}
	finished := make(chan error, 1)
	go func() {
		finished <- group.Wait()
		close(items)
	}()
	var sendErr error
	for item := range items {
		if sendErr != nil {
			continue // until the producers have seen their context end
		}
		if sendErr = stream.Send(item); sendErr != nil {
			cancel()
		}
	}
	err := cmpErr(sendErr, <-finished)
	if err != nil && errors.Is(context.Cause(call), ErrStopping) {
		err = ErrStopping
	}
	return toWire(err)
}

// watch is one call of WatchJob. Its methods give items until there are no more.
type watch struct {
	jobs  Jobs
	req   *controlv1.WatchJobRequest
	items chan<- *controlv1.WatchJobResponse
}

func (w watch) send(ctx context.Context, item *controlv1.WatchJobResponse) error {
	select {
	case w.items <- item:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// events gives the job's events, holding back the last until outputs are through.
func (w watch) events(ctx context.Context, outputsDone <-chan struct{}) error {
	for ev, err := range w.jobs.Events(ctx, w.req.JobId, w.req.Follow) {
		if err != nil {
			return err
		}
		if _, last := ev.Event.(*leasev1.JobEvent_Ended); last {
			select {
			case <-outputsDone:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := w.send(ctx, &controlv1.WatchJobResponse{Item: &controlv1.WatchJobResponse_Event{Event: ev}}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// output gives one output of the task in chunks.
func (w watch) output(ctx context.Context, which runtime.Stream, offset uint64) error {
	r, err := w.jobs.Output(ctx, w.req.JobId, which, int64(offset), w.req.Follow)
	if err != nil {
		return fmt.Errorf("output of job %s: %w", w.req.JobId, err)
	}
	defer r.Close()
	if offset, err = w.skip(r, offset); err != nil {
		return fmt.Errorf("output of job %s: %w", w.req.JobId, err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, came, err := w.read(r, buf)
		if n > 0 {
			chunk := &leasev1.Chunk{Stderr: which == runtime.Stderr, Offset: offset, Data: append([]byte(nil), buf[:n]...)}
			if err := w.send(ctx, &controlv1.WatchJobResponse{Item: &controlv1.WatchJobResponse_Chunk{Chunk: chunk}, CameMs: came}); err != nil {
				return err
			}
			offset += uint64(n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("output of job %s: %w", w.req.JobId, err)
		}
	}
}

// timed is an output that knows when it came here.
type timed interface {
	// ReadTimed is Read of bytes that came at one time, which it tells; zero: not known.
	ReadTimed(p []byte) (int, time.Time, error)
	// Skip goes on to what came at a time or later, and says where that begins.
	Skip(to time.Time) (offset int64, err error)
}

// skip leaves out what came before the client wants it.
func (w watch) skip(r io.Reader, offset uint64) (uint64, error) {
	if t, ok := r.(timed); ok && w.req.SinceMs > 0 {
		at, err := t.Skip(time.UnixMilli(w.req.SinceMs))
		return uint64(at), err
	}
	return offset, nil
}

// read reads the next piece, and says when it came if the client wants to know, Unix time in ms.
func (w watch) read(r io.Reader, buf []byte) (n int, came int64, err error) {
	t, ok := r.(timed)
	if !ok || !w.req.Times {
		n, err = r.Read(buf)
		return n, 0, err
	}
	n, at, err := t.ReadTimed(buf)
	if !at.IsZero() {
		came = at.UnixMilli()
	}
	return n, came, err
}
