// Package lease is the rules of one lease, for both sides: which statement may
// follow which, what is paid, and how it ends.
//
// A [Lease] is a value. [Lease.Step] takes the time and an event and gives the
// next value and what to do about it; it reads no clock, does no I/O and keeps
// nothing. Statements are signed inside Step, because Ed25519 is a function of
// key and bytes; the caller makes event and statements durable, and performs
// the effects only then. [Replay] takes the same records and comes to the same
// lease without signing anything.
//
// Every Step first asks which deadlines have passed, so it makes no difference
// whether the timer or a late message is delivered first. SPEC.md beside the
// protocol's messages says what every rule is for; testdata holds transcripts.
package lease

import (
	"fmt"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// Config is what a lease begins with.
type Config struct {
	Role      Role
	Agreement Agreement
	// Sign signs with this node's key. It must be deterministic.
	Sign func(statement.Type, []byte) *marketv1.Signed
}

// phase is the part of a state that time alone does not change.
type phase uint8

const (
	phaseWaiting phase = iota
	phaseLive
	phaseClosing
	phaseEnded
)

// Lease is one lease as one side sees it.
type Lease struct {
	Config
	numbers

	id      statement.Hash
	start   time.Time // of this side's lease
	now     time.Time // the latest time handed in
	phase   phase
	state   State
	changed time.Time // when state last changed
	reason  string    // why it ended

	chain  chain
	prior  chain     // without the last co-signed beat
	anchor time.Time // intervals are missed from here on: see missed
	// settled: intervals are as long as the terms have them, on the requester those
	// from longFrom on, which begin at longAt.
	settled  bool
	longFrom uint64
	longAt   time.Time
	agreed   time.Time // when the last beat was co-signed, or the lease became live
	closing  closing
	proof    []*marketv1.Signed // two statements for one slot

	attests   []attested                 // kept for the receipt, by seq
	latest    map[uint32]*leasev1.Attest // by witness
	worker    worker
	requester requester
	off       rules
}

// closing is the end by agreement, as far as it has come.
type closing struct {
	close     *leasev1.Close
	worker    *marketv1.Signed
	requester *marketv1.Signed // the same payload
	retry     time.Time        // worker: when to propose again
}

// rules switches rules off, to see tests find what each of them prevents.
type rules struct {
	slotBySeq bool // slots are keyed by seq instead of by interval
	noLastAck bool // challenges come without the last ack
	ackClosed bool // the requester acks closed intervals
}

// New begins a lease on its own side: on the worker when it countersigns, on
// the requester when the countersignature is there. Nothing happens before the
// first Tick, which is due at Deadline.
func New(c Config, now time.Time) (Lease, error) {
	if c.Role != Worker && c.Role != Requester {
		return Lease{}, fmt.Errorf("begin lease: %w: %s", ErrRole, c.Role)
	}
	if c.Agreement.Terms == nil || c.Sign == nil {
		return Lease{}, fmt.Errorf("begin lease: %w: no agreement or no key", ErrTerms)
	}
	n, err := newNumbers(c.Agreement.Terms)
	if err != nil {
		return Lease{}, fmt.Errorf("begin lease: %w", err)
	}
	now = exact(now)
	chain := newChain(c.Agreement.head0(), n.options.Witnessed)
	return Lease{
		Config: c, numbers: n,
		id: c.Agreement.ID(), start: now, now: now, changed: now,
		chain: chain, prior: chain,
		settled: n.first == n.interval, longAt: now,
		requester: requester{next: now},
	}, nil
}

// exact drops what a journal in milliseconds would drop, so that a replay sees
// the same times.
func exact(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()) }

// ID names the lease.
func (l Lease) ID() statement.Hash { return l.id }

// State is where the lease stood when it was last stepped.
func (l Lease) State() State { return l.state }

// Changed is when the state last changed.
func (l Lease) Changed() time.Time { return l.changed }

// Reason says in a few words why the lease ended; empty before.
func (l Lease) Reason() string { return l.reason }

// Beats is how many beats are co-signed.
func (l Lease) Beats() uint64 { return l.chain.beats }

// CreditMS is what both sides agreed on so far, in milliseconds per device: by
// the last ack, or by the close once it has both signatures.
func (l Lease) CreditMS() uint64 {
	if l.closing.requester != nil {
		return l.closing.close.GetCreditMs()
	}
	return l.chain.creditMS
}

// Amount is what CreditMS costs, in micro-credits.
func (l Lease) Amount() uint64 {
	if l.closing.requester != nil {
		return l.closing.close.GetAmount()
	}
	return l.chain.amount
}

// Exit is how the task ended, and nil before that is known.
func (l Lease) Exit() *leasev1.Exit { return l.closing.close.GetExit() }

// Pending is what to send again after a restart or on a new stream, always the
// same bytes: the worker's unacknowledged beat or close, the requester's open
// challenge or its signature under the close.
func (l Lease) Pending() []*marketv1.Signed {
	var s *marketv1.Signed
	switch {
	case l.Role == Worker && l.phase == phaseClosing:
		s = l.closing.worker
	case l.Role == Worker && l.phase == phaseLive && l.worker.slot.open:
		s = l.worker.slot.beat
	case l.Role == Requester && l.state == Closed:
		s = l.closing.requester
	case l.Role == Requester && l.phase != phaseEnded && l.requester.open != nil:
		s = l.requester.open.signed
	}
	if s == nil {
		return nil
	}
	return []*marketv1.Signed{s}
}

// StopWanted says whether the requester asked the task to end, and with how
// much grace: a new stream carries the wish again.
func (l Lease) StopWanted() (grace time.Duration, wanted bool) {
	if l.Role != Requester || l.phase == phaseEnded {
		return 0, false
	}
	return l.requester.stopGrace, l.requester.stopAsked
}
