package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// history is what the journal holds of one lease.
type history struct {
	award   journal.Record
	events  []lease.Recorded
	last    time.Time
	removed bool
	settled bool
	still   bool // its requester has the task stand still
	// stranger: its requester had not paid for anything by then.
	stranger bool
}

// Restore takes up the leases of a journal. Call it once, before Run.
func (w *Worker) Restore(replay func(func(journal.Record) error) error) error {
	leases := map[string]*history{}
	var order []string
	err := replay(func(rec journal.Record) error {
		switch rec.Kind {
		case KindAward:
			stranger, err := w.wasStranger(rec)
			if err != nil {
				return err
			}
			leases[rec.Key] = &history{award: rec, last: rec.At, stranger: stranger}
			order = append(order, rec.Key)
		case KindSettled:
			if h, ok := leases[rec.Key]; ok {
				h.settled = true
			}
			return w.recallSettled(rec)
		case KindEvent, KindRemoved, KindStill:
			h, ok := leases[rec.Key]
			if !ok {
				return fmt.Errorf("lease %s: an event before its award", rec.Key)
			}
			return h.add(rec)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range order {
		if err := w.restore(leases[key]); err != nil {
			return fmt.Errorf("lease %s: %w", key, err)
		}
	}
	return nil
}

func (h *history) add(rec journal.Record) error {
	if rec.Kind == KindStill {
		return h.recallStill(rec)
	}
	h.last = rec.At
	if rec.Kind == KindRemoved {
		h.removed, h.events = true, nil
		return nil
	}
	ev, err := session.Recorded(rec)
	if err != nil {
		return err
	}
	h.events = append(h.events, ev)
	return nil
}

func (w *Worker) restore(h *history) error {
	var req leasev1.AwardRequest
	if err := proto.Unmarshal(h.award.Event, &req); err != nil {
		return fmt.Errorf("award in the journal: %w", err)
	}
	if err := w.recallBid(&req); err != nil {
		return err
	}
	if terms, err := statement.OpenRequesterTerms(req.Terms); err == nil {
		w.raise(terms.Message())
	}
	if h.removed {
		return nil
	}
	var counter marketv1.Signed
	if err := proto.Unmarshal(h.award.Statements[0], &counter); err != nil {
		return fmt.Errorf("countersignature in the journal: %w", err)
	}
	agreement, err := lease.NewAgreement(&counter, req.Terms)
	if err != nil {
		return err
	}
	l, err := lease.Replay(lease.Config{Role: lease.Worker, Agreement: agreement, Sign: w.sign}, h.award.At, h.events)
	if err != nil {
		return err
	}
	s, err := w.reopen(&req, &counter, agreement, l)
	if err != nil {
		return err
	}
	s.created, s.stranger, s.settled, s.restored = h.award.At, h.stranger, h.settled, true
	s.touched.Store(h.last.UnixMilli())
	s.still.Store(h.still)
	if err := s.recall(h.events); err != nil {
		return err
	}
	w.tenancies[s.id.String()] = s
	return nil
}

// recallBid remembers that a bid was taken up, also when nothing else is left of
// its lease: until it expires, the same award could come again.
func (w *Worker) recallBid(req *leasev1.AwardRequest) error {
	bid, err := statement.OpenBid(req.Bid)
	if err != nil {
		return fmt.Errorf("bid in the journal: %w", err)
	}
	if m := bid.Message(); m.ExpiresMs >= w.Now().UnixMilli() {
		w.bids[[16]byte(m.Nonce)] = m.ExpiresMs
	}
	return nil
}

func (w *Worker) reopen(req *leasev1.AwardRequest, counter *marketv1.Signed, agreement lease.Agreement, l lease.Lease) (*tenancy, error) {
	terms, err := statement.Open[*leasev1.Terms](req.Terms, statement.TypeTerms, agreement.Terms.Requester)
	if err != nil {
		return nil, err
	}
	var spec marketv1.Spec
	if err := proto.Unmarshal(req.Spec, &spec); err != nil {
		return nil, fmt.Errorf("spec in the journal: %w", err)
	}
	id := job.LeaseID(terms.Hash())
	a := award{request: req, terms: terms, spec: &spec, from: peerOf(agreement.Terms.Requester)}
	n := w.newTenancy(id, a, counter, l)
	if needsDevices(l.State()) {
		if err := w.retake(id, agreement.Terms.GpuTags); err != nil {
			w.Log.Warn("a leased device is not here any more", "lease", id.Short(), "err", err)
			n.short = true
		}
	}
	return n, nil
}

// retake gives the devices of a lease that are still here back to it after a restart,
// whatever the owner lends by now: its task may run on each of them.
func (w *Worker) retake(id job.LeaseID, tags [][]byte) error {
	var errs []error
	for _, tag := range tags {
		uuids, err := w.byTags([][]byte{tag})
		if err == nil {
			err = w.Config.Devices.Retake(id.String(), uuids)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// recall reads from the events how far the task had come.
func (n *tenancy) recall(events []lease.Recorded) error {
	for _, rec := range events {
		ev, err := lease.UnmarshalEvent(rec.Event)
		if err != nil {
			return err
		}
		switch ev := ev.(type) {
		case lease.TaskRunning:
			n.past.running = true
		case lease.TaskExited:
			n.past.ended = &leasev1.Ended{Exit: ev.Exit}
		case lease.TaskFailed:
			n.past.ended = &leasev1.Ended{Exit: ev.Exit}
		}
	}
	if n.past.ended == nil {
		return nil
	}
	if kept, err := n.loadEnded(); err == nil {
		n.past.ended = kept
		if err := n.outputs.load(n.w.Folders, kept.Outputs); err != nil {
			n.log.Warn("outputs", "err", err)
		}
	}
	n.board.end(n.past.ended)
	return nil
}

// resume brings the task to where the lease says it should be. For a lease that
// was just signed that is nowhere.
func (n *tenancy) resume(ctx context.Context) {
	l := n.session.Lease()
	if l.State().Ended() || l.State() == lease.Waiting || n.past.ended != nil {
		return
	}
	n.startTask(ctx)
	if by, ok := l.StopBy(); ok {
		n.task.stop(ctx, max(0, by.Sub(n.w.Now())))
	}
	if l.Frozen() {
		n.task.freeze(ctx)
	}
	n.reconnect(ctx)
}

// Orphans lists tasks of the runtime that no lease here knows.
func (w *Worker) Orphans(all []runtime.Status) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var known []string
	for _, s := range w.tenancies {
		known = append(known, taskID(s.id))
	}
	var out []string
	for _, st := range all {
		if !slices.Contains(known, st.ID) {
			out = append(out, st.ID)
		}
	}
	return out
}
