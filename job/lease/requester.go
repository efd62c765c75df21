package lease

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// requester is what only the requester keeps.
type requester struct {
	open      *challenge // at most one waits for its beat
	next      time.Time  // when the next challenge is due, if none is open
	floor     uint64     // the lowest interval that may be challenged
	first     time.Time  // when the first challenge was sent; zero before
	paid      time.Time  // when the challenge of the last acked beat was sent
	stopAsked bool
	stopGrace time.Duration
}

// challenge is one that waits for its beat. It is never changed.
type challenge struct {
	interval uint64
	hash     statement.Hash
	sent     time.Time
	signed   *marketv1.Signed
	shown    bool // our chain was shown after it, which happens once
}

func (t *turn) applyRequester(ev Event) error {
	switch ev := ev.(type) {
	case BeatReceived:
		return t.beatReceived(ev.Beat, ev.Observed)
	case CloseReceived:
		return t.closeReceived(ev.Close)
	case SealReceived:
		return t.holdSeal(ev.seal)
	case Abandon:
		t.do(SendStop{})
		t.end(Lapsed, "abandoned")
		return nil
	default:
		return ErrRole
	}
}

// Challenged is one more than the highest interval that this requester asked a beat for.
func (l Lease) Challenged() uint64 { return l.requester.floor }

// closeChallenge forgets a challenge whose interval closed.
func (t *turn) closeChallenge() {
	c := t.requester.open
	if c != nil && !t.now.Before(t.closes(c.interval)) && !t.off.ackClosed {
		t.requester.open = nil
	}
}

// nextChallenge is when a tick has a challenge to make, or to forget.
func (l Lease) nextChallenge() time.Time {
	r := l.requester
	if r.open != nil {
		return l.closes(r.open.interval)
	}
	due := r.next
	if floor := l.begins(r.floor); floor.After(due) {
		due = floor
	}
	return due
}

// challengeIfDue makes the challenge for the current interval: one at a time,
// and the next one not before the last is acked or its interval closed, so that
// an ack never crosses a challenge that does not know of it.
func (t *turn) challengeIfDue(random [RandomSize]byte) error {
	if t.now.Before(t.nextChallenge()) || (t.requester.open != nil && !t.off.ackClosed) {
		return nil
	}
	interval := t.intervalAt(t.now)
	c := &leasev1.Challenge{
		Version:  statement.Version,
		LeaseId:  t.id[:],
		Seq:      t.chain.beats,
		Interval: interval,
		PrevHead: t.chain.head[:],
		Nonce:    random[:32],
		LastAck:  t.chain.ack,
	}
	if t.off.noLastAck {
		c.LastAck = nil
	}
	signed, err := t.sign(statement.TypeChallenge, c)
	if err != nil {
		return err
	}
	t.requester.open = &challenge{
		interval: interval,
		hash:     statement.HashPayload(string(statement.TypeChallenge), signed.GetPayload()),
		sent:     t.now,
		signed:   signed,
	}
	t.requester.floor = interval + 1
	t.requester.next = t.begins(interval + 1).Add(t.offset(random[32:]))
	if t.requester.first.IsZero() {
		t.requester.first, t.requester.paid = t.now, t.now
	}
	t.send(signed)
	if t.requester.stopAsked {
		t.do(SendStop{Grace: t.requester.stopGrace})
	}
	return nil
}

// offset is a moment in the first 60 % of an interval that the worker cannot
// foresee.
func (l Lease) offset(random []byte) time.Duration {
	interval, _ := l.pace()
	span := uint64(latest(interval).Milliseconds()) + 1
	return time.Duration(binary.BigEndian.Uint64(random)%span) * time.Millisecond
}

// beatReceived co-signs the beat that answers the open challenge.
func (t *turn) beatReceived(beat statement.Verified[*leasev1.Beat], seen *leasev1.Observation) error {
	b := beat.Message()
	if err := t.checkFrom(Worker, beat.Signer(), b.GetLeaseId()); err != nil {
		return err
	}
	if done, err := t.beatAgain(beat); done || err != nil {
		return err
	}
	if err := t.checkBeat(beat); err != nil {
		return err
	}
	ack := t.newAck(beat, seen)
	signed, err := t.sign(statement.TypeAck, ack)
	if err != nil {
		return err
	}
	t.advance(beat, signed, t.requester.open.sent)
	if m := ack.GetMismatches(); len(m) > 0 {
		t.do(Disputed{Seq: b.GetSeq(), Mismatches: m})
	}
	t.send(signed)
	return nil
}

// newAck says what this side saw, and whether the beat's evidence fits it. An ack
// that disputes is as good a voucher: the time was served, whatever the device did.
func (t *turn) newAck(beat statement.Verified[*leasev1.Beat], seen *leasev1.Observation) *leasev1.Ack {
	b, hash := beat.Message(), beat.Hash()
	ack := &leasev1.Ack{
		Version:     statement.Version,
		LeaseId:     t.id[:],
		Seq:         b.GetSeq(),
		Interval:    b.GetInterval(),
		BeatHash:    hash[:],
		Verdict:     leasev1.Verdict_VERDICT_GOOD,
		CreditMs:    b.GetCreditMs(),
		Amount:      b.GetAmount(),
		RequesterMs: t.now.UnixMilli(),
		Observed:    seen,
	}
	terms := t.Agreement.Terms
	ack.Mismatches = evidence.Judge(evidence.Case{
		Image: terms.GetImageDigest(), Tags: terms.GetGpuTags(), Before: t.chain.evidence,
		CreditMS: b.GetCreditMs() - t.chain.creditMS,
		PassedMS: uint64(t.now.Sub(t.requester.paid).Milliseconds()), Seen: seen,
	}, b.GetEvidence())
	if len(ack.GetMismatches()) > 0 {
		ack.Verdict = leasev1.Verdict_VERDICT_DISPUTED
	}
	return ack
}

// advance makes a beat with our own ack part of the chain.
func (t *turn) advance(beat statement.Verified[*leasev1.Beat], ack *marketv1.Signed, sent time.Time) {
	b := beat.Message()
	t.extend(beat.Signed(), b, ack)
	t.settle(b.GetInterval()+1, t.begins(b.GetInterval()+1))
	t.phase, t.anchor = phaseLive, t.begins(b.GetInterval()+1)
	t.requester.open, t.requester.paid = nil, sent
	t.requester.floor = max(t.requester.floor, b.GetInterval()+1)
}

// beatAgain deals with a beat for the interval of the last co-signed one: the
// same beat gets the same ack, another one ends the lease.
func (t *turn) beatAgain(beat statement.Verified[*leasev1.Beat]) (done bool, err error) {
	if t.chain.beats == 0 || beat.Message().GetInterval() != t.chain.interval {
		return false, nil
	}
	if !bytes.Equal(beat.Payload(), t.chain.beat.GetPayload()) {
		t.fault(t.chain.beat, beat.Signed(), "the worker signed two beats for one interval")
		return true, nil
	}
	t.send(t.chain.ack)
	return true, nil
}

// checkBeat is every reason not to co-sign.
func (t *turn) checkBeat(beat statement.Verified[*leasev1.Beat]) error {
	b, open, root := beat.Message(), t.requester.open, t.chain.tree.Root()
	if err := heartbeat.CheckBeat(b, t.options); err != nil {
		return err
	}
	switch {
	case t.chain.beats > 0 && b.GetInterval() < t.chain.interval:
		return ErrStale
	case open == nil || b.GetInterval() < open.interval && !t.off.ackClosed:
		return ErrClosedInterval
	case b.GetInterval() > open.interval:
		return ErrFutureInterval
	case b.GetSeq() != t.chain.beats:
		return ErrSeq
	case !bytes.Equal(b.GetPrevHead(), t.chain.head[:]):
		return ErrHead
	case !bytes.Equal(b.GetChallengeHash(), open.hash[:]) && !t.off.ackClosed:
		return ErrChallenge
	case !bytes.Equal(b.GetTreeRoot(), root[:]):
		return ErrTree
	}
	return t.checkMoney(b.GetCreditMs(), b.GetAmount())
}

// checkMoney refuses credit for time that this side did not see pass, more than
// max_unpaid intervals at once, and an amount that is not the credit's price.
//
// The worker counts from arrival to arrival of challenges and this side from
// sending to now, so an honest claim fits unless the clocks run at different
// speeds; the slack for that is one interval over the whole lease at most.
func (l Lease) checkMoney(creditMS, amount uint64) error {
	if creditMS < l.chain.creditMS || creditMS > l.maxCreditMS {
		return ErrCredit
	}
	interval, grace := l.pace()
	slack := func(elapsed time.Duration) uint64 {
		return uint64((elapsed + min(grace+elapsed/1000, interval)).Milliseconds())
	}
	more := creditMS - l.chain.creditMS
	if more > slack(l.now.Sub(l.requester.paid)) || more > l.maxUnpaid() {
		return ErrCredit
	}
	if l.requester.first.IsZero() && creditMS > 0 || creditMS > slack(l.now.Sub(l.requester.first)) {
		return ErrCredit
	}
	want, err := l.amount(creditMS)
	if err != nil {
		return err
	}
	if amount != want || amount > l.maxAmount {
		return fmt.Errorf("%w: %d, not %d", ErrAmount, amount, want)
	}
	return nil
}

// wishStop asks the worker to end the task, and again with every challenge.
func (t *turn) wishStop(grace time.Duration) error {
	if t.phase == phaseWaiting && t.requester.first.IsZero() {
		t.end(Refused, "stopped before it began")
		return nil
	}
	t.requester.stopAsked, t.requester.stopGrace = true, max(0, grace)
	t.do(SendStop{Grace: t.requester.stopGrace})
	return nil
}
