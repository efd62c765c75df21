package sim

import (
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestAFlakyCardIsDrainedAndLentAgain(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "flaky:rtx-4090", Price: price})
		settle()
		lent := func() {
			for len(m[1].Keeper().Books.Free()) == 0 {
				time.Sleep(time.Second)
			}
		}
		for round, fault := range []string{"does not answer", "fell off the bus", "Xid 48"} {
			lent()
			_, events := finish(t, m[0], submission(t, m[0], "on-term 9", "sleep 1h"))
			end := ended(t, events)
			if end.Outcome != leasev1.Outcome_OUTCOME_FAILED || end.Exit.GetCode() != 9 {
				t.Errorf("round %d ended %v", round, end)
			}
			s := agreed(t, m[0], m[1], end.LeaseId)
			if !s.Simulated || s.Ended != "the worker's owner took the machine back" {
				t.Errorf("round %d, where the card %s: the receipt says %q, simulated %t", round, fault, s.Ended, s.Simulated)
			}
			_, events = finish(t, m[0], submission(t, m[0], "exit 0"))
			if d := declines(events); len(d) != 1 || d[0] != marketv1.DeclineReason_DECLINE_REASON_POLICY {
				t.Errorf("round %d: declined with %v while the card %s", round, d, fault)
			}
		}
		lent()
		_, events := finish(t, m[0], submission(t, m[0], "exit 4"))
		exited(t, events, 4)
	})
}

func TestAJobGetsASliceOfTheProfileItNames(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "mig-h100", Price: price})
		settle()
		wants := func(profile string, count uint32) *leasev1.Submission {
			sub := submission(t, m[0], "sleep 1m", "exit 4")
			sub.Spec.Gpu.Mig, sub.Spec.Gpu.Count = profile, count
			return sub
		}
		submit(t, m[0], wants("1g.10gb", 2), 20*time.Second)
		held := 0
		for _, v := range m[1].Keeper().Devices() {
			if v.Holder != "" {
				held++
				if v.Device.MIG.Profile != "1g.10gb" {
					t.Errorf("holds %+v", v.Device)
				}
			}
		}
		if held != 2 {
			t.Errorf("%d slices are held, want 2", held)
		}
		_, events := finish(t, m[0], wants("3g.40gb", 2))
		if d := declines(events); len(d) != 1 || d[0] != marketv1.DeclineReason_DECLINE_REASON_MIG {
			t.Errorf("two of a profile that is there once: %v", d)
		}
		_, events = finish(t, m[0], wants("3g.40gb", 1))
		exited(t, events, 4)
		_, events = finish(t, m[0], wants("", 1))
		exited(t, events, 4)
	})
}
