package requester

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// records is what the journal holds of one job.
type records struct {
	began    time.Time
	sub      leasev1.Submission
	award    []byte
	awards   uint64 // so many were sent, or about to be
	leased   *journal.Record
	events   []lease.Recorded
	received []byte
	again    []*leasev1.Again // of the leases before
	ended    []byte
	endedAt  time.Time
	forgot   bool
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
		id, before := splitKey(rec.Key)
		if h, ok := jobs[id]; ok && (before == len(h.again) || !underLease(rec.Kind)) {
			return h.add(rec)
		}
		return nil // of a lease that another has taken the place of
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
		h.awards++
	case KindLease:
		h.leased = &rec
	case KindAgain:
		a := &leasev1.Again{}
		if err := proto.Unmarshal(rec.Event, a); err != nil {
			return err
		}
		h.again = append(h.again, a)
		h.award, h.leased, h.events, h.received = nil, nil, nil, nil
	case KindEnded:
		h.ended, h.endedAt = rec.Event, rec.At
	case KindForget:
		h.forgot = true
	case KindReceived:
		h.received = rec.Event
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
	j.fence = h.awards
	for _, a := range h.again {
		j.resume(a)
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

// recallEnd takes up a job that has ended. Its lease lives on only as long as its
// worker may still wait for our signature under the close.
func (j *run) recallEnd(h *records) (err error) {
	end := &leasev1.JobEnded{}
	if err := proto.Unmarshal(h.ended, end); err != nil {
		return fmt.Errorf("end in the journal: %w", err)
	}
	j.endedWith(&leasev1.JobEvent{AtMs: h.endedAt.UnixMilli(), Event: &leasev1.JobEvent_Ended{Ended: end}})
	if h.leased == nil {
		return nil
	}
	if j.past, err = recallLease(h); err != nil {
		return err
	}
	if j.r.Now().Before(h.endedAt.Add(j.past.grace)) {
		if j.tenure, err = j.reopen(h); err != nil {
			return err
		}
		if l := j.tenure.session.Lease(); l.State() != lease.Closed {
			j.tenure = nil
		}
	}
	return nil
}

// pastLease is what is worth knowing of the lease of a job that has ended.
type pastLease struct {
	id     job.LeaseID
	worker peer.ID
	beats  uint64
	sealed uint64        // 0 when not known any more
	grace  time.Duration // how long its worker waits for a silent requester
}

// recallLease reads it from the records without going through all of them again.
func recallLease(h *records) (*pastLease, error) {
	var req leasev1.AwardRequest
	if err := proto.Unmarshal(h.leased.Event, &req); err != nil {
		return nil, fmt.Errorf("award in the journal: %w", err)
	}
	terms, err := statement.OpenRequesterTerms(req.Terms)
	if err != nil {
		return nil, fmt.Errorf("terms in the journal: %w", err)
	}
	t := terms.Message()
	worker, err := job.PeerID(t.Worker)
	if err != nil {
		return nil, fmt.Errorf("terms in the journal: %w", err)
	}
	p := &pastLease{id: job.LeaseID(terms.Hash()), worker: worker, grace: time.Duration(t.AbsentGraceMs) * time.Millisecond}
	for _, rec := range h.events {
		for _, s := range rec.Statements {
			if s.Type == string(statement.TypeAck) {
				p.beats++
			}
		}
	}
	return p, nil
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
	return j.newTenure(agreement, l), nil
}

// agreementOf is what both sides signed, from the record of a lease and its award.
func agreementOf(leased *journal.Record, req *leasev1.AwardRequest) (lease.Agreement, error) {
	var counter marketv1.Signed
	if err := proto.Unmarshal(leased.Statements[0], &counter); err != nil {
		return lease.Agreement{}, fmt.Errorf("countersignature in the journal: %w", err)
	}
	return lease.NewAgreement(&counter, req.Terms)
}
