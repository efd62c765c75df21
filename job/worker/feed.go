package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// chunkSize is how much output travels in one message.
const chunkSize = 32 << 10

// Follow serves a task's progress and output to its requester, from the offsets
// it asks for on, until the task has ended and all of it was sent.
func (w *Worker) Follow(ctx context.Context, req *leasev1.TaskRequest, link session.Link) error {
	s, err := w.tenancy(req.LeaseId, link.Peer())
	if err != nil {
		return err
	}
	if req.StdoutOffset > math.MaxInt64 || req.StderrOffset > math.MaxInt64 {
		return fmt.Errorf("offsets %d and %d: no output is that long", req.StdoutOffset, req.StderrOffset)
	}
	f := &feed{s: s, link: link}
	ended, err := f.progress(ctx, func(outputs *sync.WaitGroup) {
		outputs.Go(func() { f.output(ctx, runtime.Stdout, req.StdoutOffset) })
		outputs.Go(func() { f.output(ctx, runtime.Stderr, req.StderrOffset) })
	})
	if err != nil {
		return err
	}
	return f.send(&leasev1.TaskFrame{Frame: &leasev1.TaskFrame_Ended{Ended: ended}})
}

// feed is one follower of a task.
type feed struct {
	s    *tenancy
	mu   sync.Mutex
	link session.Link
}

func (f *feed) send(m proto.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.link.Send(m)
}

// progress reports every change until the task has ended and its output was
// sent. The outputs are started once the task exists.
func (f *feed) progress(ctx context.Context, outputs func(*sync.WaitGroup)) (*leasev1.Ended, error) {
	var sending sync.WaitGroup
	defer sending.Wait()
	started := false
	last := &leasev1.Progress{}
	for {
		p, ended, changed := f.s.board.look()
		if !started && exists(p.Phase) {
			started = true
			outputs(&sending)
		}
		if worthTelling(last, p) {
			last = p
			if err := f.send(&leasev1.TaskFrame{Frame: &leasev1.TaskFrame_Progress{Progress: p}}); err != nil {
				return nil, err
			}
		}
		if ended != nil {
			sending.Wait()
			return ended, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// worthTelling says whether progress is other than what was told last: another phase, notice or
// layer, or the hundredth part of the bytes.
func worthTelling(last, p *leasev1.Progress) bool {
	switch {
	case p.Phase != last.Phase || p.Notice != last.Notice || p.EndMs != last.EndMs:
		return true
	case p.Layer.GetDigest() != last.Layer.GetDigest() || p.Layer.GetOrigin() != last.Layer.GetOrigin():
		return true
	}
	return p.TotalBytes != last.TotalBytes || p.DoneBytes != last.DoneBytes &&
		(p.DoneBytes == p.TotalBytes || p.DoneBytes/(p.TotalBytes/100+1) != last.DoneBytes/(p.TotalBytes/100+1))
}

// exists says whether a task in this phase has output to read.
func exists(p leasev1.Phase) bool { return p >= leasev1.Phase_PHASE_RUNNING }

// output sends one output as it comes. A failure cuts the stream: the requester
// asks again from where it is.
func (f *feed) output(ctx context.Context, stream runtime.Stream, offset uint64) {
	r, err := f.s.w.Runtime.Output(ctx, taskID(f.s.id), stream, int64(offset), true)
	if errors.Is(err, runtime.ErrNotFound) {
		return // it never ran: there is no output
	}
	if err != nil {
		f.link.Reset()
		return
	}
	defer r.Close()
	buf := make([]byte, chunkSize)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			c := &leasev1.Chunk{Stderr: stream == runtime.Stderr, Offset: offset, Data: buf[:n]}
			if err := f.send(&leasev1.TaskFrame{Frame: &leasev1.TaskFrame_Chunk{Chunk: c}}); err != nil {
				return
			}
			offset += uint64(n)
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			f.link.Reset()
			return
		}
	}
}
