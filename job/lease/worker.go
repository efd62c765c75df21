package lease

import (
	"bytes"
	"errors"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// stopGrace is how long a task may take to end when its time is up.
const stopGrace = 10 * time.Second

// worker is what only the worker keeps.
type worker struct {
	slot    slot
	floor   uint64 // the lowest interval that may be signed for
	meter   meter
	nonces  [][]byte    // by witness: given out and in no co-signed beat yet
	came    []time.Time // by witness: when its last nonce was taken
	shown   []uint64    // by witness: how many beats there were with the last it was shown
	running time.Time   // when the task started; zero before
	frozen  bool
	held    bool                // the owner wants the task to stand still
	asleep  time.Duration       // how long this machine slept so far, as it counts that
	ended   bool                // the task is over, its outputs not yet collected
	stop    leasev1.CloseReason // why the task was told to end, at first
	stopBy  time.Time           // when it is ended by force; zero before
	// timedOut says that the terms' own limit has told the task to end.
	timedOut bool
}

// slot is the beat for the highest interval that the worker signed for. For an
// interval at or below it, nothing else is ever signed.
type slot struct {
	used     bool
	open     bool // not co-signed, so sent again when asked
	seq      uint64
	interval uint64
	arrived  time.Time // when its challenge came
	beat     *marketv1.Signed
	content  *leasev1.Beat // what it says
	nonces   [][]byte      // of witnesses, in it
}

func (t *turn) applyWorker(ev Event) error {
	switch ev := ev.(type) {
	case Challenged:
		return t.challenged(ev)
	case Acked:
		return t.acked(ev.Ack)
	case TaskRunning:
		return t.taskRunning()
	case TaskEnded:
		return t.taskEnded(ev.Exit)
	case TaskExited:
		return t.propose(exitReason(ev.Exit), ev)
	case TaskFailed:
		return t.propose(leasev1.CloseReason_CLOSE_REASON_FAILED, TaskExited{Exit: ev.Exit})
	case CloseSigned:
		return t.closeSigned(ev.Close)
	case NonceReceived:
		return t.nonceReceived(ev)
	case SealReady:
		return t.sealReady(ev.Seal)
	case Hold:
		return t.hold(ev.On)
	case Slept:
		return nil // see Step
	case Yield:
		return t.stopTask(leasev1.CloseReason_CLOSE_REASON_YIELDED, ev.Grace, "the owner took the machine back")
	default:
		return ErrRole
	}
}

// exitReason is why a lease ends with its task: one that was lost did not end by itself.
func exitReason(e *leasev1.Exit) leasev1.CloseReason {
	if e.GetCause() == leasev1.Cause_CAUSE_LOST {
		return leasev1.CloseReason_CLOSE_REASON_FAILED
	}
	return leasev1.CloseReason_CLOSE_REASON_EXITED
}

// challenged answers a challenge: with the beat it asks for, with the beat that
// is already signed for its interval, or with what the worker holds instead.
func (t *turn) challenged(ev Challenged) error {
	c := ev.Challenge.Message()
	if err := t.checkFrom(Requester, ev.Challenge.Signer(), c.GetLeaseId()); err != nil {
		return err
	}
	if err := heartbeat.CheckChallenge(c); err != nil && !t.off.noLastAck {
		return err
	}
	if t.phase == phaseClosing {
		t.send(t.closing.worker) // it has not heard: the task has ended
		return nil
	}
	if c.GetInterval() > t.intervalAt(t.now)+1 {
		return ErrFutureInterval
	}
	if err := t.adopt(c.GetLastAck()); err != nil {
		return err
	}
	if t.phase == phaseEnded {
		return nil
	}
	if s := t.worker.slot; s.open && t.sameSlot(c) {
		t.send(s.beat)
		return nil
	}
	if !t.follows(c) {
		if c.GetSeq() > t.chain.beats {
			// We forgot what we signed, perhaps also for this interval.
			t.worker.floor = max(t.worker.floor, c.GetInterval()+1)
		}
		t.showChain()
		return nil
	}
	return t.beat(ev)
}

// sameSlot says whether a challenge asks for what is already signed.
func (l Lease) sameSlot(c *leasev1.Challenge) bool {
	if l.off.slotBySeq {
		return c.GetSeq() == l.worker.slot.seq
	}
	return c.GetInterval() == l.worker.slot.interval
}

// follows says whether a challenge asks for the next beat of this very chain,
// in an interval that nothing was signed for.
func (l Lease) follows(c *leasev1.Challenge) bool {
	fresh := !l.worker.slot.used || c.GetInterval() > l.worker.slot.interval
	return fresh && c.GetInterval() >= l.worker.floor && c.GetSeq() == l.chain.beats && bytes.Equal(c.GetPrevHead(), l.chain.head[:])
}

// beat signs the answer to a challenge that follows. The first one starts the
// task: only now is it certain that the requester holds our countersignature.
func (t *turn) beat(ev Challenged) error {
	first := t.phase == phaseWaiting
	t.worker.meter = t.worker.meter.at(t.now, t.creditLimit())
	b, err := t.newBeat(ev)
	if err != nil {
		return err
	}
	signed, err := t.sign(statement.TypeBeat, b)
	if err != nil {
		return err
	}
	t.worker.slot = slot{used: true, open: true, seq: b.Seq, interval: b.Interval, arrived: t.now, beat: signed, content: b, nonces: t.worker.nonces}
	if first {
		t.phase, t.agreed, t.anchor = phaseLive, t.now, t.now
		t.do(StartTask{})
	}
	t.send(signed)
	return nil
}

// SamplesFrom is the number of the first sample that the beat answering a
// challenge is to be about: the first that no co-signed beat covers, the one that
// the challenge brings the ack of included.
func (l Lease) SamplesFrom(c *leasev1.Challenge) uint64 {
	e := l.chain.evidence
	if s := l.worker.slot; s.open && c.GetSeq() == s.seq+1 {
		e = s.content.GetEvidence()
	}
	return e.GetFirstSample() + e.GetSamples()
}

// Sampled is the number after the last sample that this worker signed anything about.
func (l Lease) Sampled() uint64 { return l.SamplesFrom(&leasev1.Challenge{Seq: l.worker.slot.seq + 1}) }

func (t *turn) newBeat(ev Challenged) (*leasev1.Beat, error) {
	c, evidence := ev.Challenge.Message(), ev.Evidence
	if evidence == nil {
		evidence = &leasev1.Evidence{}
	}
	credit := t.worker.meter.countedMS
	amount, err := t.amount(credit)
	if err != nil {
		return nil, err
	}
	challenge, tree := ev.Challenge.Hash(), t.chain.tree.Root()
	return &leasev1.Beat{
		Version:       statement.Version,
		LeaseId:       t.id[:],
		Seq:           c.GetSeq(),
		Interval:      c.GetInterval(),
		PrevHead:      c.GetPrevHead(),
		ChallengeHash: challenge[:],
		Evidence:      evidence,
		TreeRoot:      tree[:],
		CreditMs:      credit,
		Amount:        amount,
		WorkerMs:      t.now.UnixMilli(),
		PrevSeal:      t.chain.sealHash,
		WitnessRoot:   heartbeat.RootOf(t.leaves(t.worker.nonces)),
	}, nil
}

// acked takes an ack that came by itself.
func (t *turn) acked(ack statement.Verified[*leasev1.Ack]) error {
	if t.phase == phaseClosing {
		return ErrStale // the close was signed without this beat, and both sides drop it
	}
	if err := t.checkFrom(Requester, ack.Signer(), ack.Message().GetLeaseId()); err != nil {
		return err
	}
	before := t.chain.beats
	if err := t.takeAck(ack); err != nil {
		return err
	}
	if t.phase != phaseEnded && t.chain.beats == before {
		return ErrStale
	}
	return nil
}

// adopt takes the ack that a challenge carries. It is what lets the chain go on
// after an ack was lost.
func (t *turn) adopt(last *marketv1.Signed) error {
	if last == nil || bytes.Equal(last.GetPayload(), t.chain.ack.GetPayload()) {
		return nil
	}
	ack, err := statement.Open[*leasev1.Ack](last, statement.TypeAck, t.Agreement.Key(Requester))
	if err != nil {
		return err
	}
	if err := t.checkFrom(Requester, ack.Signer(), ack.Message().GetLeaseId()); err != nil {
		return err
	}
	if err := t.takeAck(ack); !errors.Is(err, ErrAck) {
		return err
	}
	return nil // of a beat that we forgot, if of any of ours: a resync tells
}

// takeAck extends the chain if the ack completes the open slot. Two acks for
// one seq end the lease.
func (t *turn) takeAck(ack statement.Verified[*leasev1.Ack]) error {
	a, s := ack.Message(), t.worker.slot
	if err := heartbeat.CheckAck(a); err != nil {
		return err
	}
	if t.chain.beats > 0 && a.GetSeq() == t.chain.beats-1 {
		if !bytes.Equal(ack.Payload(), t.chain.ack.GetPayload()) {
			t.fault(t.chain.ack, ack.Signed(), "the requester signed two acks for one beat")
		}
		return nil
	}
	if !s.open || a.GetSeq() != t.chain.beats {
		return nil // of no use here; the challenge decides what follows
	}
	if !acknowledges(a, s.beat, s.content) {
		return ErrAck
	}
	t.extend(s.beat, s.content, ack.Signed())
	interval, _ := t.pace()
	t.anchor, t.worker.slot.open = s.arrived.Add(latest(interval)), false
	t.settle(0, t.now)
	t.showWitnesses(s.nonces)
	return nil
}

// Acknowledges says whether an ack is one of this very beat, at its figures.
func Acknowledges(a *leasev1.Ack, beat statement.Verified[*leasev1.Beat]) bool {
	return acknowledges(a, beat.Signed(), beat.Message())
}

// acknowledges says whether an ack is one of this very beat, at its figures.
func acknowledges(a *leasev1.Ack, beat *marketv1.Signed, b *leasev1.Beat) bool {
	hash := statement.HashPayload(string(statement.TypeBeat), beat.GetPayload())
	return bytes.Equal(a.GetBeatHash(), hash[:]) &&
		a.GetSeq() == b.GetSeq() && a.GetInterval() == b.GetInterval() &&
		a.GetCreditMs() == b.GetCreditMs() && a.GetAmount() == b.GetAmount()
}

// extend makes a co-signed beat part of the chain, on either side.
func (t *turn) extend(beat *marketv1.Signed, b *leasev1.Beat, ack *marketv1.Signed) {
	t.prior, t.chain = t.chain, t.chain.extend(beat, ack, b)
	t.agreed = t.now
	t.do(Beaten{Seq: b.GetSeq(), Interval: b.GetInterval(), CreditMS: b.GetCreditMs(), Amount: b.GetAmount()})
}
