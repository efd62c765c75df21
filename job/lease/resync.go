package lease

import (
	"bytes"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// A resync shows the highest co-signed beat that its sender holds. It matters
// when a side lost the end of its journal: what it signed itself comes back to
// it, and it signs nothing at or below that again. Whoever is further behind
// than one beat cannot rebuild the tree over the heads and gives up.

// showChain tells the peer how far the chain goes on this side.
func (t *turn) showChain() {
	r := &leasev1.Resync{Beat: t.chain.beat, Ack: t.chain.ack}
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
		return t.takeSlot(r)
	}
	if t.chain.beats == before.chain.beats && len(t.effects) == 0 {
		return ErrStale
	}
	return nil
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
	case shown == t.chain.beats+1:
		return t.takeUp(beat, ack)
	case shown > t.chain.beats:
		t.giveUp("our own records are behind what we signed")
	case shown < t.chain.beats && t.Role == Requester:
		t.helpUp()
	}
	return nil
}

// sameStatement says whether two statements are the same bytes.
func sameStatement(a, b *marketv1.Signed) bool {
	return a.GetType() == b.GetType() && bytes.Equal(a.GetPayload(), b.GetPayload()) &&
		bytes.Equal(a.GetSignature(), b.GetSignature())
}

// helpUp shows a worker that lost the end of its journal what it signed, and
// asks the open question again: once, or two sides could keep this up for ever.
func (t *turn) helpUp() {
	open := t.requester.open
	if open == nil || open.shown {
		return
	}
	again := *open
	again.shown = true
	t.requester.open = &again
	t.showChain()
	t.send(open.signed)
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
func (t *turn) takeUp(beat statement.Verified[*leasev1.Beat], ack statement.Verified[*leasev1.Ack]) error {
	b, root := beat.Message(), t.chain.tree.Root()
	if !bytes.Equal(b.GetPrevHead(), t.chain.head[:]) {
		return ErrHead
	}
	if !bytes.Equal(b.GetTreeRoot(), root[:]) {
		return ErrTree
	}
	if t.Role == Requester {
		// When its challenge was sent is forgotten; it was in the interval
		// before our own signature, as a rule.
		sent := time.UnixMilli(ack.Message().GetRequesterMs()).Add(-t.interval)
		t.advance(beat, ack.Signed(), sent)
		if t.requester.first.IsZero() {
			t.requester.first = t.start
		}
		return nil
	}
	t.extend(beat.Signed(), b, ack.Signed())
	if t.phase == phaseWaiting {
		t.phase = phaseLive
		t.do(StartTask{})
	}
	t.anchor = t.now
	t.worker.slot = slot{used: true, seq: b.GetSeq(), interval: max(t.worker.slot.interval, b.GetInterval())}
	t.worker.meter = t.worker.meter.from(b.GetCreditMs(), time.UnixMilli(b.GetWorkerMs()))
	return nil
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
