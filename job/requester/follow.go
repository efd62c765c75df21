package requester

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// follow receives the task's progress and output, from where it stopped last,
// and fetches what the task left, until all of it is here.
func (t *tenure) follow(ctx context.Context) {
	wait := redialFirst
	for {
		ended, err := t.followOnce(ctx)
		if err == nil {
			err = t.fetch(ctx, ended)
		}
		if err == nil {
			t.ended = ended
			close(t.received)
			return
		}
		t.log.Debug("follow the task", "err", err)
		if pause(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, redialMost)
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
	req := &leasev1.TaskRequest{LeaseId: t.id[:], StdoutOffset: uint64(t.j.stdout.size()), StderrOffset: uint64(t.j.stderr.size())}
	if err := link.Send(req); err != nil {
		return nil, err
	}
	return t.receive(link)
}

func (t *tenure) receive(link session.Link) (*leasev1.Ended, error) {
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
		default:
			return nil, fmt.Errorf("frame %T of a task", f)
		}
	}
}

// progress shows a new phase, and how far a fetch has come in steps of a twentieth.
func (t *tenure) progress(p *leasev1.Progress) {
	before := leasev1.Phase(t.now.Swap(int32(p.Phase)))
	if before == p.Phase && p.DoneBytes < p.TotalBytes && !t.step.advanced(p.DoneBytes, p.TotalBytes) {
		return
	}
	t.j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Progress{Progress: p}})
}

// steps thins out progress: one report for each twentieth.
type steps struct{ last uint64 }

func (s *steps) advanced(done, total uint64) bool {
	step := done * 20 / max(total, 1)
	changed := step != s.last
	s.last = step
	return changed
}

// fetch brings the outputs here. What can never be had (the worker's store lost
// it, a digest is wrong) is reported and does not hold up the rest.
func (t *tenure) fetch(ctx context.Context, ended *leasev1.Ended) error {
	src := t.j.r.Streams.Blobs(t.worker, t.id[:])
	for _, out := range ended.Outputs {
		err := t.fetchOutput(ctx, src, out)
		switch {
		case errors.Is(err, ErrContent):
			t.unstored = append(t.unstored, fmt.Sprintf("%s: %v", out.Path, err))
		case err != nil:
			return fmt.Errorf("output %s: %w", out.Path, err)
		}
	}
	return nil
}

// ErrContent marks content that asking again will not bring: the peer does not
// have it, or what it has is wrong.
var ErrContent = errors.New("content not to be had")

func (t *tenure) fetchOutput(ctx context.Context, src runtime.BlobSource, out *leasev1.Output) error {
	content := t.j.r.Content
	if err := content.Fetch(ctx, src, out.Manifest); err != nil {
		return err
	}
	m, err := readManifest(content, out.Manifest)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrContent, err)
	}
	for _, e := range m.Entries {
		if e.Digest == "" {
			continue
		}
		if err := content.Fetch(ctx, src, e.Digest); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return nil
}

// readManifest reads a folder's manifest from the store.
func readManifest(c Content, digest string) (*marketv1.Manifest, error) {
	b, err := readBlob(c, digest)
	if err != nil {
		return nil, err
	}
	var m marketv1.Manifest
	if err := proto.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", digest, err)
	}
	return &m, nil
}

// conclude says how the job ended, from how its lease did.
func (t *tenure) conclude() *leasev1.JobEnded {
	l := t.session.Lease()
	end := &leasev1.JobEnded{LeaseId: t.id.String(), CreditMs: l.CreditMS(), Amount: l.Amount()}
	if r := l.Receipt(); r != nil {
		if err := t.j.r.Receipts.Keep("requester", r); err != nil {
			t.log.Error("receipt not kept", "err", err)
		}
	} else {
		end.LeaseId = ""
	}
	select {
	case <-t.received:
		end.Exit, end.Outputs = t.ended.Exit, t.ended.Outputs
		for _, why := range t.unstored {
			end.Sentence = job.CleanText("output not fetched: " + why)
		}
	default:
	}
	t.explain(end, l)
	return end
}
