package worker

import (
	"context"
	"time"

	"github.com/rigmesh/rigmesh/job/heartbeat/seal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

const (
	// sealAfter is the part of an interval that passes before a beat is sealed:
	// jobs that are over sooner cost no squarings, and the next challenge is
	// further away than that.
	sealAfter = 8
	// maxSealRate is what a worker puts up with, in squarings per millisecond of
	// the interval: some 1 % of one core.
	maxSealRate = 10
)

// nudge tells the sealer to look again whether there is something to seal.
func (n *tenancy) nudge() {
	select {
	case n.sealable <- struct{}{}:
	default:
	}
}

// sealing makes the seals of the lease's beats, off everything else's way, until
// the session is over.
func (n *tenancy) sealing(ctx context.Context) {
	n.nudge()
	delay := time.Duration(n.terms.IntervalMs) * time.Millisecond / sealAfter
	for {
		select {
		case <-n.sealable:
		case <-n.session.Done():
			return
		case <-ctx.Done():
			return
		}
		if _, _, _, wanted := n.session.Lease().ToSeal(); !wanted || !pause(ctx, delay) {
			continue
		}
		p, seq, beat, wanted := n.session.Lease().ToSeal()
		if !wanted {
			continue
		}
		if s := n.makeSeal(ctx, p, seq, beat); s != nil {
			n.session.Post(ctx, lease.SealReady{Seal: s})
		}
	}
}

// makeSeal makes the seal of one beat; nil when it is not wanted any more.
func (n *tenancy) makeSeal(ctx context.Context, p seal.Params, seq uint64, beat statement.Hash) *leasev1.Seal {
	w, err := seal.Begin(p, beat)
	if err != nil {
		n.log.Warn("seal", "err", err) // the terms were checked before they were signed
		return nil
	}
	for !w.Step(seal.Slice) {
		_, now, of, wanted := n.session.Lease().ToSeal()
		if !wanted || now != seq || of != beat {
			n.nudge()
			return nil
		}
		if !pause(ctx, seal.Rest) {
			return nil
		}
	}
	s := w.Seal()
	s.LeaseId, s.Seq = n.id[:], seq
	return s
}
