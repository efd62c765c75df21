package requester

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/lease"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// closeWhenReceived co-signs a close only once all that the task left is here:
// the co-signature lets the worker delete it.
func (t *tenure) closeWhenReceived(ev lease.CloseReceived) {
	if !t.closing.CompareAndSwap(false, true) {
		return
	}
	t.proposed.Store(ev.Close.Message())
	go func() {
		select {
		case <-t.received:
		case <-t.session.Done():
			return
		}
		if err := t.agrees(ev.Close.Message()); err != nil {
			t.giveUp(err)
			return
		}
		t.session.Post(context.Background(), ev) // ends with the session
		t.closing.Store(false)
	}()
}

// keptByWorker is how long a worker keeps what a task left for a requester that did not co-sign its close.
const keptByWorker = 24 * time.Hour

// receiveLate goes on fetching what a task left that is known to have ended, when its lease
// lapsed meanwhile: the worker still has it. Whoever stops the job ends that, and so does the
// end of this node: nothing on record says that the task had ended.
func (t *tenure) receiveLate(ctx context.Context) {
	if t.proposed.Load() == nil || t.session.Lease().State() != lease.Lapsed || t.j.wantsStop() {
		return
	}
	select {
	case <-t.received:
		return
	default:
	}
	t.j.trouble("lapsed", "the lease lapsed before all that the task left was here; the worker keeps it for %s, and it is fetched until then", keptByWorker)
	timer := time.NewTimer(keptByWorker)
	defer timer.Stop()
	select {
	case <-t.received:
	case <-t.enough:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// lateClose is the worker's close where all that the task left came after the lease had lapsed:
// it is not co-signed any more, and how the task ended is known all the same.
func (t *tenure) lateClose(l lease.Lease) *leasev1.Close {
	c := t.proposed.Load()
	if c == nil || l.State() != lease.Lapsed || t.disputed.Load() != nil || t.j.wantsStop() {
		return nil
	}
	select {
	case <-t.received:
	default:
		return nil
	}
	if t.agrees(c) != nil {
		return nil
	}
	return c
}

// endedAlone is the exit of a task that had ended by itself, by its worker's word; else nil.
func (t *tenure) endedAlone() *leasev1.Exit {
	if c := t.proposed.Load(); c.GetReason() == leasev1.CloseReason_CLOSE_REASON_EXITED {
		return cleanExit(c.GetExit())
	}
	return nil
}

// agrees says whether a close is about what the worker delivered.
func (t *tenure) agrees(c *leasev1.Close) error {
	said, signed := t.ended.Exit, c.Exit
	if said.GetCode() != signed.GetCode() || said.GetSignal() != signed.GetSignal() || said.GetOom() != signed.GetOom() {
		return fmt.Errorf("it sent exit code %d and signs code %d", said.GetCode(), signed.GetCode())
	}
	if !bytes.Equal(job.OutputsDigest(t.ended.Outputs), c.OutputsDigest) {
		return errors.New("it signs other outputs than it sent")
	}
	return nil
}

// giveUp ends the lease: what the worker wants signed is not what happened.
// The last beat that was co-signed stays owed, and nothing after it.
func (t *tenure) giveUp(why error) {
	sentence := "the worker's close is not co-signed: " + why.Error()
	t.disputed.Store(&sentence)
	t.j.trouble("close-differs", "%s", sentence)
	t.session.Post(context.Background(), lease.Abandon{})
}
