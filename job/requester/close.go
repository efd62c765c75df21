package requester

import (
	"bytes"
	"context"
	"errors"
	"fmt"

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
