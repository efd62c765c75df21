package requester

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
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
	sought   time.Time        // when the last of them had come to nothing
	ended    []byte
	endedAt  time.Time
	past     *pastLease // once it has ended, if there was a lease
	forgot   bool
}

// collect reads what there is about each job, in the order in which they began.
func (r *Requester) collect(replay func(func(journal.Record) error) error) (jobs map[string]*records, order []string, err error) {
	jobs = map[string]*records{}
	err = replay(func(rec journal.Record) error {
		if rec.Kind == KindJob {
			jobs[rec.Key] = &records{began: rec.At}
			order = append(order, rec.Key)
			return proto.Unmarshal(rec.Event, &jobs[rec.Key].sub)
		}
		id, before := splitKey(rec.Key)
		if h, ok := jobs[id]; ok && (before == len(h.again) || !underLease(rec.Kind)) {
			if err := h.add(rec); err != nil || rec.Kind != KindEnded {
				return err
			}
			return h.end(id, r.Now())
		}
		return nil // of a lease that another has taken the place of
	})
	return jobs, order, err
}

// end lets go of what is of no use once a job has ended: a journal may hold tens of thousands.
// Its lease lives on only as long as its worker may still wait for our signature under the close.
func (h *records) end(id string, now time.Time) (err error) {
	h.award = nil
	if h.leased == nil {
		return nil
	}
	if h.past, err = recallLease(h); err != nil {
		return fmt.Errorf("job %s: %w", id, err)
	}
	if !now.Before(h.endedAt.Add(h.past.grace)) {
		h.leased, h.events, h.received = nil, nil, nil
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
		h.again, h.sought = append(h.again, a), rec.At
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
