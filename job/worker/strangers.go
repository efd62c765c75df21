package worker

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// KindSettled says how a lease ended, for what its requester gets from then on;
// the event is a Settled.
const KindSettled = "worker.settled"

// accounts is what a worker remembers of requesters. It belongs to the worker's mu.
type accounts struct {
	paid   map[peer.ID]bool // they paid for a lease, and closed all since by agreement
	unpaid []hold           // of strangers, in order
}

// hold is time on devices that a stranger had for nothing.
type hold struct {
	ended time.Time
	time  time.Duration
}

// note takes up how a lease ended.
func (a *accounts) note(requester peer.ID, s *leasev1.Settled, at time.Time) {
	if a.paid == nil {
		a.paid = map[peer.ID]bool{}
	}
	switch {
	case !s.Agreed:
		delete(a.paid, requester)
	case s.CreditMs > 0:
		a.paid[requester] = true
	}
	if s.UnpaidMs > 0 {
		a.unpaid = append(a.unpaid, hold{at, time.Duration(s.UnpaidMs) * time.Millisecond})
	}
}

// today is how much strangers had for nothing in the last day.
func (a *accounts) today(now time.Time) time.Duration {
	a.unpaid = slices.DeleteFunc(a.unpaid, func(h hold) bool { return now.Sub(h.ended) >= 24*time.Hour })
	var sum time.Duration
	for _, h := range a.unpaid {
		sum += h.time
	}
	return sum
}

// acquaintance is what is known of a requester. The caller holds mu.
func (w *Worker) acquaintance(from peer.ID) market.Acquaintance {
	now := w.Now()
	a := market.Acquaintance{Known: w.accounts.paid[from] || from == peerOf(w.self), Unpaid: w.accounts.today(now)}
	blocks := w.Peers.Origins(from)
	for _, n := range w.tenancies {
		l := n.session.Lease()
		switch {
		case l.State().Ended():
		case l.CreditMS() > 0:
			a.Known = a.Known || n.requester == from
		case !n.stranger:
		case n.requester == from:
			a.Leases++
			a.Unpaid += n.held(now)
		default:
			a.Unpaid += n.held(now)
			if slices.ContainsFunc(n.origins, func(p netip.Prefix) bool { return slices.Contains(blocks, p) }) {
				a.Nearby++
			}
		}
	}
	return a
}

// mayLend asks the owner's rule for strangers. The caller holds mu.
func (w *Worker) mayLend(from peer.ID) (stranger bool, d *marketv1.Decline) {
	a := w.acquaintance(from)
	return !a.Known, w.Policy.Strangers.Decline(a)
}

// checkStranger refuses a stranger's award that the owner's rule does not allow, or
// whose first intervals are too long. The caller holds mu.
func (w *Worker) checkStranger(a award) (stranger bool, err error) {
	stranger, d := w.mayLend(a.from)
	if d != nil {
		return stranger, refuse(d.Reason, "%s", d.Text)
	}
	t := a.terms.Message()
	first := t.IntervalMs
	if t.FirstIntervalMs > 0 {
		first = t.FirstIntervalMs
	}
	if stranger && first > market.StrangerInterval.Milliseconds() {
		return stranger, refuse(marketv1.DeclineReason_DECLINE_REASON_LIMIT,
			"you are new here: heartbeats are at most %s apart until one is paid (first_interval_ms)", market.StrangerInterval)
	}
	return stranger, nil
}

// held is how long a lease has had its devices, all of them together.
func (n *tenancy) held(until time.Time) time.Duration {
	return max(0, until.Sub(n.created)) * time.Duration(len(n.terms.GpuTags))
}

// settle remembers how the lease ended, once.
func (n *tenancy) settle() {
	if n.settled {
		return
	}
	l := n.session.Lease()
	s := &leasev1.Settled{Requester: n.terms.Requester, Agreed: l.State() == lease.Closed, CreditMs: l.CreditMS()}
	if n.stranger && (!s.Agreed || s.CreditMs == 0) {
		devices := time.Duration(len(n.terms.GpuTags))
		s.UnpaidMs = uint64(max(0, n.held(l.Changed())-devices*time.Duration(l.CreditMS())*time.Millisecond).Milliseconds())
	}
	event, err := proto.Marshal(s)
	if err == nil {
		err = n.w.Journal.Append(journal.Record{Key: n.id.String(), Kind: KindSettled, At: n.w.Now(), Event: event})
	}
	if err != nil {
		n.log.Warn("remember how the lease ended", "err", err)
		return
	}
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.settled = true
	n.w.accounts.note(n.requester, s, n.w.Now())
}

// recallSettled takes up a record of how a lease ended.
func (w *Worker) recallSettled(rec journal.Record) error {
	var s leasev1.Settled
	if err := proto.Unmarshal(rec.Event, &s); err != nil {
		return fmt.Errorf("end of lease %s in the journal: %w", rec.Key, err)
	}
	requester, err := job.PeerID(s.Requester)
	if err != nil {
		return fmt.Errorf("end of lease %s in the journal: %w", rec.Key, err)
	}
	w.accounts.note(requester, &s, rec.At)
	return nil
}

// wasStranger says whether the requester of an award in the journal was one, as
// far as the records before it tell.
func (w *Worker) wasStranger(rec journal.Record) (bool, error) {
	var req leasev1.AwardRequest
	if err := proto.Unmarshal(rec.Event, &req); err != nil {
		return false, fmt.Errorf("award in the journal: %w", err)
	}
	terms, err := statement.OpenRequesterTerms(req.Terms)
	if err != nil {
		return false, fmt.Errorf("terms in the journal: %w", err)
	}
	requester := peerOf(terms.Signer())
	return !w.accounts.paid[requester] && requester != peerOf(w.self), nil
}
