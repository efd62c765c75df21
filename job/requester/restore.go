package requester

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// records is what the journal holds of one job.
type records struct {
	began  time.Time
	sub    leasev1.Submission
	award  []byte
	leased *journal.Record
	events []lease.Recorded
	ended  []byte
}

// Restore takes up the jobs of a journal. Call it once, before Run.
func (r *Requester) Restore(replay func(func(journal.Record) error) error) error {
	jobs := map[string]*records{}
	var order []string
	err := replay(func(rec journal.Record) error {
		if rec.Kind == KindJob {
			jobs[rec.Key] = &records{began: rec.At}
			order = append(order, rec.Key)
			return proto.Unmarshal(rec.Event, &jobs[rec.Key].sub)
		}
		if h, ok := jobs[rec.Key]; ok {
			return h.add(rec)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range order {
		if err := r.restore(key, jobs[key]); err != nil {
			return fmt.Errorf("job %s: %w", key, err)
		}
	}
	return nil
}

func (h *records) add(rec journal.Record) error {
	switch rec.Kind {
	case KindAward:
		h.award = rec.Event
	case KindLease:
		h.leased = &rec
	case KindEnded:
		h.ended = rec.Event
	case KindEvent:
		ev, err := session.Recorded(rec)
		if err != nil {
			return err
		}
		h.events = append(h.events, ev)
	}
	return nil
}

func (r *Requester) restore(key string, h *records) error {
	id, err := job.ParseID(key)
	if err != nil {
		return err
	}
	j := r.newRun(id, &h.sub, nil, h.began)
	if h.leased != nil {
		if j.tenure, err = j.reopen(h); err != nil {
			return err
		}
	}
	switch {
	case h.ended != nil:
		j.finished = &leasev1.JobEnded{}
		if err := proto.Unmarshal(h.ended, j.finished); err != nil {
			return fmt.Errorf("end in the journal: %w", err)
		}
		j.stdout.end()
		j.stderr.end()
		j.history.end()
	default:
		if err := j.rearm(h); err != nil {
			return err
		}
	}
	r.runs[key] = j
	return nil
}

// rearm makes a job that has not ended ready to go on.
func (j *run) rearm(h *records) error {
	content, err := closure(j.r.Content, j.sub.Spec)
	if err != nil {
		// Its blobs are gone. What the worker has by now may be enough.
		j.log.Warn("content of a job", "err", err)
	}
	j.content = content
	if h.leased == nil && h.award != nil {
		j.pending = &leasev1.AwardRequest{}
		return proto.Unmarshal(h.award, j.pending)
	}
	for _, rec := range h.events {
		ev, err := lease.UnmarshalEvent(rec.Event)
		if err != nil {
			return err
		}
		if _, ok := ev.(lease.StopAsked); ok {
			j.stopping = true
		}
	}
	return nil
}

// reopen replays a job's lease.
func (j *run) reopen(h *records) (*tenure, error) {
	var req leasev1.AwardRequest
	if err := proto.Unmarshal(h.leased.Event, &req); err != nil {
		return nil, fmt.Errorf("award in the journal: %w", err)
	}
	var counter marketv1.Signed
	if err := proto.Unmarshal(h.leased.Statements[0], &counter); err != nil {
		return nil, fmt.Errorf("countersignature in the journal: %w", err)
	}
	agreement, err := lease.NewAgreement(&counter, req.Terms)
	if err != nil {
		return nil, err
	}
	c := lease.Config{Role: lease.Requester, Agreement: agreement, Sign: j.r.sign}
	l, err := lease.Replay(c, h.leased.At, h.events)
	if err != nil {
		return nil, err
	}
	return j.newTenure(agreement, l), nil
}
