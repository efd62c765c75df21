package worker_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// An award that was overtaken by a later one of its job is refused, whenever it comes,
// also after a restart.
func TestAnOvertakenAwardIsRefusedEvenAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer func() { b.stop(); b.clear() }()
		numbered := func(fence uint64) *leasev1.AwardRequest {
			a := b.prepare(requesterKey, "exit 0")
			a.terms.Fence = fence
			return a.request()
		}
		first, second, third := numbered(1), numbered(2), numbered(3)
		if r := b.award(requesterKey, second); r.GetCountersigned() == nil {
			t.Fatalf("the second lease is refused: %v", r)
		}
		refused := func(when string, req *leasev1.AwardRequest) {
			t.Helper()
			if r := b.award(requesterKey, req).GetRefused(); r.GetReason() != marketv1.DeclineReason_DECLINE_REASON_GONE {
				t.Errorf("%s: %v", when, r)
			}
		}
		refused("an earlier one", first)
		if r := b.award(requesterKey, second); r.GetCountersigned() == nil {
			t.Errorf("the same one again is refused: %v", r)
		}
		b.stop()
		b.start()
		refused("an earlier one after a restart", first)
		if r := b.award(requesterKey, third); r.GetCountersigned() == nil {
			t.Errorf("a later one is refused: %v", r)
		}
	})
}

// A lease that was overtaken before it began runs nothing, though its requester's
// challenge comes through in the end.
func TestAnOvertakenLeaseStartsNoTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer func() { b.stop(); b.clear() }()
		early, late := b.prepare(requesterKey, "sleep 1h"), b.prepare(requesterKey, "sleep 1h")
		early.terms.Fence, late.terms.Fence = 1, 2
		l, id := b.lease(early.request())
		b.lease(late.request())
		s := sessiontest.Requester(l, &sessiontest.Journal{})
		go func() { _ = s.Run(t.Context()) }()
		b.connect(s, id)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		all, err := b.runtime.List(t.Context())
		if err != nil || len(all) != 0 {
			t.Errorf("tasks %v, %v; want none", all, err)
		}
		var c leasev1.Close
		if r := s.Lease().Receipt(); r == nil || proto.Unmarshal(r.Close, &c) != nil || !strings.Contains(c.GetExit().GetError(), "later lease") {
			t.Errorf("the lease is %v, its close %v; want one that says why", s.Lease().State(), &c)
		}
	})
}
