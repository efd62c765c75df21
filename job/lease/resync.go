package lease

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// A resync shows the highest co-signed beat that its sender holds, and the tree
// over the heads before it. It matters when a side lost the end of its journal:
// what it signed itself comes back to it, and it signs nothing at or below that
// again, nor for the interval in which it found out. What cannot be shown is not
// signed over: then the lease ends.

// showChain tells the peer how far the chain goes on this side.
func (t *turn) showChain() {
	r := &leasev1.Resync{Beat: t.chain.beat, Ack: t.chain.ack}
	if t.chain.beats > 0 {
		r.Tree = t.prior.tree.Complete()
	}
	if t.Role == Worker && t.worker.slot.used {
		r.SlotInterval, r.SlotBeat = t.worker.slot.interval, t.worker.slot.beat
	}
	t.do(SendResync{r})
}

func (t *turn) resync(r *leasev1.Resync) error {
	if t.phase == phaseClosing {
		return ErrStale
	}
	before := t.Lease
	if err := t.takeShown(r); err != nil || t.phase == phaseEnded {
		return err
	}
	if t.Role == Requester && r.GetSlotBeat() != nil && !sameStatement(r.GetSlotBeat(), t.chain.beat) {
		if err := t.takeSlot(r); err != nil {
			return err
		}
	}
	was, is := before.requester, t.requester
	if t.chain.beats == before.chain.beats && is.floor == was.floor && is.open == was.open && len(t.effects) == 0 {
		return ErrStale
	}
	return nil
}

// maxTree is how many complete subtrees a tree can have.
const maxTree = 64

// looked is a resync without what nobody looks at: whoever shows more does not have it
// written down.
func looked(r *leasev1.Resync) *leasev1.Resync {
	out := &leasev1.Resync{
		Beat: sized(r.GetBeat(), statement.TypeBeat), Ack: sized(r.GetAck(), statement.TypeAck),
		SlotInterval: r.GetSlotInterval(), SlotBeat: sized(r.GetSlotBeat(), statement.TypeBeat),
	}
	odd := func(hash []byte) bool { return len(hash) != len(statement.Hash{}) }
	if len(r.GetTree()) <= maxTree && !slices.ContainsFunc(r.GetTree(), odd) {
		out.Tree = r.GetTree()
	}
	return out
}

// sized is a statement with nothing beside it, and nil when it is too large to be one.
func sized(s *marketv1.Signed, t statement.Type) *marketv1.Signed {
	if s.GetType() != string(t) || len(s.GetPayload()) > t.MaxSize() || len(s.GetSignature()) != ed25519.SignatureSize {
		return nil
	}
	return &marketv1.Signed{Type: s.GetType(), Payload: s.GetPayload(), Signature: s.GetSignature()}
}

// takeShown compares the peer's last co-signed beat with our own.
func (t *turn) takeShown(r *leasev1.Resync) error {
	shown := uint64(0) // beats the peer has
	var beat statement.Verified[*leasev1.Beat]
	var ack statement.Verified[*leasev1.Ack]
	switch {
	case sameStatement(r.GetBeat(), t.chain.beat) && sameStatement(r.GetAck(), t.chain.ack):
		return nil // the usual case: the two agree
	case r.GetBeat() != nil || r.GetAck() != nil:
		var err error
		if beat, ack, err = t.openPair(r); err != nil {
			return err
		}
		shown = beat.Message().GetSeq() + 1
	}
	switch {
	case shown > t.chain.beats:
		return t.catchUp(r, beat, ack)
	case shown < t.chain.beats && t.Role == Requester:
		t.helpUp()
	}
	return nil
}

// catchUp takes up what only the peer remembers. Both of us signed the beat or its
// ack, and with them the root over all heads before: so it is one chain with ours.
func (t *turn) catchUp(r *leasev1.Resync, beat statement.Verified[*leasev1.Beat], ack statement.Verified[*leasev1.Ack]) error {
	b, own := beat.Message(), t.chain.tree.Root()
	if b.GetSeq() == t.chain.beats {
		switch {
		case !bytes.Equal(b.GetPrevHead(), t.chain.head[:]):
			return ErrHead
		case !bytes.Equal(b.GetTreeRoot(), own[:]):
			return ErrTree
		}
	} else {
		tree, err := heartbeat.TreeFrom(b.GetSeq()+1, r.GetTree())
		if root := tree.Root(); err != nil || !bytes.Equal(b.GetTreeRoot(), root[:]) {
			t.giveUp("our own records are behind what we signed, and what we signed was not shown")
			return nil
		}
		t.chain = t.chain.leap(b, tree)
	}
	t.takeUp(beat, ack)
	return nil
}

// sameStatement says whether two statements are the same bytes.
func sameStatement(a, b *marketv1.Signed) bool {
	return a.GetType() == b.GetType() && bytes.Equal(a.GetPayload(), b.GetPayload()) &&
		bytes.Equal(a.GetSignature(), b.GetSignature())
}

// helpUp shows a worker that lost the end of its journal what it signed: once for
// each challenge, or two sides could keep this up for ever.
func (t *turn) helpUp() {
	open := t.requester.open
	if open == nil || open.shown {
		return
	}
	again := *open
	again.shown = true
	t.requester.open = &again
	t.showChain()
}

// openPair checks a co-signed beat, both signatures included.
func (t *turn) openPair(r *leasev1.Resync) (beat statement.Verified[*leasev1.Beat], ack statement.Verified[*leasev1.Ack], err error) {
	if beat, err = statement.Open[*leasev1.Beat](r.GetBeat(), statement.TypeBeat, t.Agreement.Key(Worker)); err != nil {
		return beat, ack, err
	}
	if ack, err = statement.Open[*leasev1.Ack](r.GetAck(), statement.TypeAck, t.Agreement.Key(Requester)); err != nil {
		return beat, ack, err
	}
	b, a := beat.Message(), ack.Message()
	if err := heartbeat.CheckBeat(b, t.options); err != nil {
		return beat, ack, err
	}
	if err := heartbeat.CheckAck(a); err != nil {
		return beat, ack, err
	}
	if !bytes.Equal(b.GetLeaseId(), t.id[:]) || !bytes.Equal(a.GetLeaseId(), t.id[:]) {
		return beat, ack, ErrLease
	}
	if !acknowledges(a, beat.Signed(), b) {
		return beat, ack, ErrAck
	}
	return beat, ack, nil
}

// takeUp extends the chain by a co-signed beat that only the peer remembered.
func (t *turn) takeUp(beat statement.Verified[*leasev1.Beat], ack statement.Verified[*leasev1.Ack]) {
	b := beat.Message()
	if t.Role == Requester {
		t.extend(beat.Signed(), b, ack.Signed())
		t.settle(b.GetInterval()+1, t.now) // when it was is forgotten: intervals are numbered from now on
		t.phase, t.anchor = phaseLive, t.begins(b.GetInterval()+1)
		// When its challenge was sent is forgotten; it was in the interval
		// before our own signature, as a rule.
		sent := time.UnixMilli(ack.Message().GetRequesterMs()).Add(-t.interval)
		t.requester.open, t.requester.paid = nil, sent
		t.requester.floor = max(t.requester.floor, b.GetInterval()+1)
		if t.requester.first.IsZero() {
			t.requester.first = t.start
		}
		return
	}
	t.extend(beat.Signed(), b, ack.Signed())
	if t.phase == phaseWaiting {
		t.phase = phaseLive
		t.do(StartTask{})
	}
	t.settle(0, t.now)
	t.anchor = t.now.Add(t.interval)
	t.worker.slot = slot{used: true, seq: b.GetSeq(), interval: max(t.worker.slot.interval, b.GetInterval())}
	t.worker.meter = t.worker.meter.from(b.GetCreditMs(), time.UnixMilli(b.GetWorkerMs()))
}

// takeSlot looks at the beat that the worker signed last: it may be the very
// answer that was lost. Otherwise its interval is used up.
func (t *turn) takeSlot(r *leasev1.Resync) error {
	beat, err := statement.Open[*leasev1.Beat](r.GetSlotBeat(), statement.TypeBeat, t.Agreement.Key(Worker))
	if err != nil {
		return err
	}
	b, open := beat.Message(), t.requester.open
	if !bytes.Equal(b.GetLeaseId(), t.id[:]) || b.GetInterval() != r.GetSlotInterval() {
		return ErrLease
	}
	if open != nil && bytes.Equal(b.GetChallengeHash(), open.hash[:]) {
		return t.beatReceived(beat, nil)
	}
	if b.GetInterval() > t.intervalAt(t.now)+1 {
		return nil // it was challenged for no such interval: all to come would be used up
	}
	t.requester.floor = max(t.requester.floor, b.GetInterval()+1)
	if open != nil && open.interval <= b.GetInterval() {
		t.requester.open = nil
	}
	return nil
}

// giveUp ends a lease that cannot be followed without signing blindly.
func (t *turn) giveUp(reason string) {
	if t.Role == Worker {
		t.stopForEnd()
	} else {
		t.do(SendStop{})
	}
	t.end(Lapsed, reason)
}
