package worker_test

import (
	"testing"
	"testing/synctest"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/worker"
)

// A requester brings the worker's own bid back to it, and may put what it likes beside it.
func TestABidThatCameBackWithMoreIsInAWholeLeaseAsItWasSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		req := b.prepare(requesterKey, "exit 0").request()
		req.Bid.ProtoReflect().SetUnknown([]byte{0xc0, 0x3e, 0x01})
		l, _ := b.lease(req)
		whole, err := worker.Whole(b.journal.Replay, job.LeaseID(l.ID()))
		if err != nil {
			t.Fatal(err)
		}
		file, err := receipt.MarshalWhole(whole)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := receipt.ParseWhole(file); err != nil {
			t.Error(err)
		}
		b.stop()
	})
}
