package requester

import (
	"context"
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// follow receives the task's progress and output, from where it stopped last,
// and fetches what the task left, until all of it is here.
func (t *tenure) follow(ctx context.Context) {
	select {
	case <-t.received:
		return // before a restart
	default:
	}
	var p pace
	for p.wait(ctx) == nil {
		ended, err := t.followOnce(ctx)
		if err == nil {
			err = t.receive(ctx, ended)
		}
		if err == nil {
			return
		}
		t.log.Debug("follow the task", "err", err)
	}
}

// followOnce reads one stream to its end.
func (t *tenure) followOnce(ctx context.Context) (*leasev1.Ended, error) {
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	link, err := t.j.r.Streams.Task(dial, t.worker)
	cancel()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, link.Reset)
	defer stop()
	defer link.Reset()
	req := &leasev1.TaskRequest{LeaseId: t.id[:], StdoutOffset: t.j.stdout.received(), StderrOffset: t.j.stderr.received()}
	if err := link.Send(req); err != nil {
		return nil, err
	}
	return t.read(link)
}

func (t *tenure) read(link session.Link) (*leasev1.Ended, error) {
	for {
		var f leasev1.TaskFrame
		if err := link.Recv(&f); err != nil {
			return nil, err
		}
		switch f := f.Frame.(type) {
		case *leasev1.TaskFrame_Progress:
			t.progress(f.Progress)
		case *leasev1.TaskFrame_Chunk:
			file := t.j.stdout
			if f.Chunk.Stderr {
				file = t.j.stderr
			}
			if err := file.write(int64(f.Chunk.Offset), f.Chunk.Data); err != nil {
				return nil, err
			}
		case *leasev1.TaskFrame_Ended:
			return f.Ended, nil
		case nil: // of a kind that a later version has
		default:
			return nil, fmt.Errorf("frame %T of a task", f)
		}
	}
}

// progress shows a new phase, each layer of an image, and how far a fetch has come in steps of
// a twentieth.
func (t *tenure) progress(p *leasev1.Progress) {
	t.noticed(p)
	if !job.ValidDigest(p.Layer.GetDigest()) {
		p.Layer = nil
	}
	if p.Phase >= leasev1.Phase_PHASE_COLLECTING {
		t.sawEnd()
	}
	before := leasev1.Phase(t.now.Swap(int32(p.Phase)))
	if before == p.Phase && p.DoneBytes < p.TotalBytes && !t.step.advanced(p) {
		return
	}
	t.j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Progress{Progress: p}})
}

// noticed tells what the worker's owner does to the task, or what the worker says of its outputs, once.
func (t *tenure) noticed(p *leasev1.Progress) {
	if last := t.notice.Swap(&p.Notice); p.Notice == "" || last != nil && *last == p.Notice {
		return
	}
	switch {
	case p.Phase >= leasev1.Phase_PHASE_COLLECTING:
		t.j.trouble("collecting", "while it collects the outputs the worker says: %s", job.CleanText(p.Notice))
	case p.EndMs > 0:
		left := max(0, time.UnixMilli(p.EndMs).Sub(t.j.r.Now())).Round(time.Second)
		t.j.trouble("yielding", "the worker's owner takes the machine back (%s): the task is warned by SIGUSR1, and told to end in %s", job.CleanText(p.Notice), left)
	default:
		t.j.trouble("held", "the worker lets the task stand still, unpaid: %s", job.CleanText(p.Notice))
	}
}

// steps thins out progress: one report for each twentieth, and for each layer from each origin.
type steps struct {
	last   uint64
	layer  string
	origin leasev1.Origin
}

func (s *steps) advanced(p *leasev1.Progress) bool {
	next := steps{uint64(float64(p.DoneBytes) / float64(max(p.TotalBytes, 1)) * 20), p.Layer.GetDigest(), p.Layer.GetOrigin()}
	changed := next != *s
	*s = next
	return changed
}
