package lease

import (
	"bytes"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// propose signs the close when the task is over. It names the chain as far as
// it is co-signed; a beat still waiting for its ack is dropped by it.
func (t *turn) propose(reason leasev1.CloseReason, ev TaskExited) error {
	if t.phase != phaseLive {
		return ErrOutOfOrder
	}
	if t.worker.stop != leasev1.CloseReason_CLOSE_REASON_UNSPECIFIED {
		reason = t.worker.stop
	}
	m := t.worker.meter.at(t.taskEnd(ev.Exit), t.creditLimit()).stop()
	amount, err := t.amount(m.countedMS)
	if err != nil {
		return err
	}
	root := t.chain.tree.Root()
	c := &leasev1.Close{
		Version:       statement.Version,
		LeaseId:       t.id[:],
		Beats:         t.chain.beats,
		PrevHead:      t.chain.head[:],
		CreditMs:      m.countedMS,
		Amount:        amount,
		Exit:          ev.Exit,
		OutputsDigest: ev.OutputsDigest,
		Reason:        reason,
		ClosedMs:      t.now.UnixMilli(),
		TreeRoot:      root[:],
		Evidence:      evidence.Trim(ev.Evidence, t.chain.evidence),
		LastSeal:      t.chain.sealHash,
	}
	if err := heartbeat.CheckClose(c, t.options); err != nil {
		return err
	}
	signed, err := t.sign(statement.TypeClose, c)
	if err != nil {
		return err
	}
	t.worker.meter, t.worker.slot.open = m, false
	t.closing = closing{close: c, worker: signed, retry: t.now.Add(t.interval)}
	t.phase, t.agreed = phaseClosing, t.now
	t.send(signed)
	return nil
}

// taskEnd is when the task ended, as far as the runtime's word for it fits:
// collecting outputs takes time that nobody owes.
func (l Lease) taskEnd(e *leasev1.Exit) time.Time {
	ended := time.UnixMilli(e.GetEndedMs())
	if ended.After(l.now) || ended.Before(l.worker.running) {
		return l.now
	}
	return ended
}

// closeReceived co-signs the worker's close. The worker may not have heard the
// last ack: a close one beat short is accepted, and that beat dropped, as long
// as it claims no less than was acked.
func (t *turn) closeReceived(v statement.Verified[*leasev1.Close]) error {
	c := v.Message()
	if err := t.checkFrom(Worker, v.Signer(), c.GetLeaseId()); err != nil {
		return err
	}
	if err := heartbeat.CheckClose(c, t.options); err != nil {
		return err
	}
	at := t.chain
	if c.GetBeats()+1 == at.beats && !t.prior.unknown {
		at = t.prior
	}
	root := at.tree.Root()
	switch {
	case c.GetBeats() != at.beats:
		return ErrSeq
	case !bytes.Equal(c.GetPrevHead(), at.head[:]):
		return ErrHead
	case !bytes.Equal(c.GetTreeRoot(), root[:]):
		return ErrTree
	}
	if err := t.checkMoney(c.GetCreditMs(), c.GetAmount()); err != nil {
		return err
	}
	signed := t.Sign(statement.TypeClose, v.Payload())
	t.chain = at
	t.closing = closing{close: c, worker: v.Signed(), requester: signed}
	t.send(signed)
	t.end(Closed, "closed by agreement")
	return nil
}

// closeSigned ends the lease on the worker.
func (t *turn) closeSigned(v statement.Verified[*leasev1.Close]) error {
	if t.phase != phaseClosing {
		return ErrOutOfOrder
	}
	if err := t.checkFrom(Requester, v.Signer(), v.Message().GetLeaseId()); err != nil {
		return err
	}
	if !bytes.Equal(v.Payload(), t.closing.worker.GetPayload()) {
		return ErrClose
	}
	t.closing.requester = v.Signed()
	t.end(Closed, "closed by agreement")
	return nil
}
