package requester

import (
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Restore takes up the jobs of a journal. Call it once, before Run.
func (r *Requester) Restore(replay func(func(journal.Record) error) error) error {
	jobs, order, err := r.collect(replay)
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

func (r *Requester) restore(key string, h *records) error {
	id, err := job.ParseID(key)
	if err != nil {
		return err
	}
	j := r.newRun(id, &h.sub, nil, h.began)
	j.fence = h.awards
	for _, a := range h.again {
		j.resume(a, h.sought)
	}
	if h.ended != nil {
		err = j.recallEnd(h)
	} else {
		err = j.rearm(h)
	}
	if h.forgot {
		j.forgotten.Store(true)
		_ = os.RemoveAll(filepath.Join(r.Dir, key)) // when a crash came between
	}
	r.runs[key] = j
	j.retire()
	return err
}

// recallEnd takes up a job that has ended, and its lease if that lives on.
func (j *run) recallEnd(h *records) (err error) {
	end := &leasev1.JobEnded{}
	if err := proto.Unmarshal(h.ended, end); err != nil {
		return fmt.Errorf("end in the journal: %w", err)
	}
	j.endedWith(&leasev1.JobEvent{AtMs: h.endedAt.UnixMilli(), Event: &leasev1.JobEvent_Ended{Ended: end}})
	if j.past = h.past; h.leased == nil {
		return nil
	}
	if j.tenure, err = j.reopen(h); err != nil {
		return err
	}
	if l := j.tenure.session.Lease(); l.State() != lease.Closed {
		j.tenure = nil
	}
	return nil
}

// rearm makes a job that has not ended ready to go on.
func (j *run) rearm(h *records) (err error) {
	if h.leased != nil {
		if j.tenure, err = j.reopen(h); err != nil {
			return err
		}
		if err := j.tenure.recall(h); err != nil {
			return err
		}
	}
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

// recall takes up what was received before the close was co-signed. The worker may
// have deleted it since. Without that signature it is asked for again.
func (t *tenure) recall(h *records) error {
	if l := t.session.Lease(); l.State() != lease.Closed || h.received == nil {
		return nil
	}
	t.ended = &leasev1.Ended{}
	if err := proto.Unmarshal(h.received, t.ended); err != nil {
		return fmt.Errorf("what was received, in the journal: %w", err)
	}
	t.fetched = t.ended.Outputs
	close(t.received)
	return nil
}

// reopen replays a job's lease.
func (j *run) reopen(h *records) (*tenure, error) {
	var req leasev1.AwardRequest
	if err := proto.Unmarshal(h.leased.Event, &req); err != nil {
		return nil, fmt.Errorf("award in the journal: %w", err)
	}
	agreement, err := agreementOf(h.leased, &req)
	if err != nil {
		return nil, err
	}
	c := lease.Config{Role: lease.Requester, Agreement: agreement, Sign: j.r.sign}
	l, err := lease.Replay(c, h.leased.At, h.events)
	if err != nil {
		return nil, err
	}
	t := j.newTenure(agreement, l)
	t.restored = true
	return t, nil
}

// agreementOf is what both sides signed, from the record of a lease and its award.
func agreementOf(leased *journal.Record, req *leasev1.AwardRequest) (lease.Agreement, error) {
	var counter marketv1.Signed
	if err := proto.Unmarshal(leased.Statements[0], &counter); err != nil {
		return lease.Agreement{}, fmt.Errorf("countersignature in the journal: %w", err)
	}
	return lease.NewAgreement(&counter, req.Terms)
}
