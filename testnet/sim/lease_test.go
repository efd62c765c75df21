package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/node"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

func TestTwoDevicesServeTwoJobsAndAThirdWaits(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090:2", Price: price})
		settle()
		first := submit(t, m[0], submission(t, m[0], "sleep 2m"), 5*time.Second)
		second := submit(t, m[0], submission(t, m[0], "sleep 3m"), 5*time.Second)
		_, events := finish(t, m[0], submission(t, m[0], "exit 0"))
		if end := ended(t, events); end.Outcome != leasev1.Outcome_OUTCOME_NO_BID {
			t.Fatalf("ended %v", end)
		}
		if d := declines(events); !slices.Equal(d, []marketv1.DeclineReason{marketv1.DeclineReason_DECLINE_REASON_BUSY}) {
			t.Errorf("declines %v; want one, for being busy", d)
		}
		waits := submission(t, m[0], "exit 3")
		waits.WaitMs = (10 * time.Minute).Milliseconds()
		_, events = finish(t, m[0], waits)
		exited(t, events, 3)
		if d := declines(events); len(d) != 1 {
			t.Errorf("declines %v; want one, however often it asked", d)
		}
		exited(t, follow(t, m[0], first), 0)
		exited(t, follow(t, m[0], second), 0)
	})
}

func TestATaskIsEndedWhenItsOwnTimeoutIsOver(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		sub := submission(t, m[0], "sleep 30m")
		sub.Spec.TimeoutMs = (30 * time.Second).Milliseconds()
		_, events := finish(t, m[0], sub)
		end := ended(t, events)
		if end.Outcome != leasev1.Outcome_OUTCOME_TIMEOUT {
			t.Fatalf("ended %v", end)
		}
		credited(t, agreed(t, m[0], m[1], end.LeaseId), 29*time.Second, 30*time.Second)
	})
}

func declines(events []*leasev1.JobEvent) []marketv1.DeclineReason {
	var all []marketv1.DeclineReason
	for _, e := range events {
		if d := e.GetDecline(); d != nil {
			all = append(all, d.Decline.Reason)
		}
	}
	return all
}

func TestANodeRentsItsOwnWorkerAndTheReceiptSaysSo(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		id, events := finish(t, m[0], submission(t, m[0], "print mine", "sleep 10s"))
		end := exited(t, events, 0)
		if out := output(t, m[0], id, runtime.Stdout); out != "mine\n" {
			t.Errorf("stdout %q", out)
		}
		s := agreed(t, m[0], m[0], end.LeaseId)
		credited(t, s, 9*time.Second, 12*time.Second)
		if !s.SelfDealt {
			t.Error("the receipt does not say that worker and requester are one")
		}
		if left := tasksOf(t, m[0]); len(left) != 0 {
			t.Errorf("tasks left: %v", left)
		}
	})
}

func TestAJobLivesThroughARestartOfItsRequester(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		id := submit(t, m[1], submission(t, m[1], "print before", "sleep 30s", "print after", "exit 4"), 10*time.Second)
		m[1].Stop()
		time.Sleep(5 * time.Second)
		m[1].Start()
		events := follow(t, m[1], id)
		end := exited(t, events, 4)
		if out := output(t, m[1], id, runtime.Stdout); out != "before\nafter\n" {
			t.Errorf("stdout %q", out)
		}
		if n := leaseEvents(events); n != 1 {
			t.Errorf("%d leases; want the one of before", n)
		}
		credited(t, agreed(t, m[1], m[2], end.LeaseId), 20*time.Second, 32*time.Second)
	})
}

func TestAJobLivesThroughARestartOfItsWorkersNode(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		id := submit(t, m[0], submission(t, m[0], "print before", "sleep 30s", "print after", "exit 5"), 10*time.Second)
		m[1].Stop()
		time.Sleep(5 * time.Second)
		m[1].Start()
		end := exited(t, follow(t, m[0], id), 5)
		if out := output(t, m[0], id, runtime.Stdout); out != "before\nafter\n" {
			t.Errorf("stdout %q", out)
		}
		credited(t, agreed(t, m[0], m[1], end.LeaseId), 20*time.Second, 32*time.Second)
	})
}

func TestATaskThatEndsWhileItsNodeIsDownIsPaidForWhatItRan(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		id := submit(t, m[0], submission(t, m[0], "sleep 15s", "print done", "exit 6"), 10*time.Second)
		m[1].Stop()
		time.Sleep(time.Minute)
		m[1].Start()
		end := exited(t, follow(t, m[0], id), 6)
		if out := output(t, m[0], id, runtime.Stdout); out != "done\n" {
			t.Errorf("stdout %q", out)
		}
		credited(t, agreed(t, m[0], m[1], end.LeaseId), 9*time.Second, 16*time.Second)
	})
}

// The close reaches the requester, the signature under it does not get back, and
// then the requester's node is started anew. The intervals are long: a beat under
// way when the worker goes deaf would be waited for, and no close be sent.
func TestACoSignedCloseReachesAWorkerThatWasAway(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		sub := submission(t, m[1], "sleep 10s")
		sub.IntervalMs = time.Minute.Milliseconds()
		id := submit(t, m[1], sub, 9500*time.Millisecond)
		m[2].Deafen()
		end := exited(t, follow(t, m[1], id), 0)
		time.Sleep(10 * time.Second)
		if n := m[2].Worker().Live(); n != 1 {
			t.Fatalf("%d leases on the worker; want the one whose close it waits for", n)
		}
		m[1].Stop()
		m[2].Mend()
		m[1].Start()
		time.Sleep(2 * time.Minute)
		credited(t, agreed(t, m[1], m[2], end.LeaseId), 8*time.Second, 12*time.Second)
		if n := m[2].Worker().Live(); n != 0 {
			t.Errorf("%d leases on the worker; want it closed", n)
		}
	})
}

func TestAShortCutIsOneGapAndNothingMore(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		sub := submission(t, m[0], "sleep 3m")
		sub.IntervalMs = (10 * time.Second).Milliseconds()
		id := submit(t, m[0], sub, 45*time.Second)
		m[1].Cut()
		time.Sleep(20 * time.Second)
		m[1].Mend()
		events := follow(t, m[0], id)
		end := exited(t, events, 0)
		// When the line is mended it takes QUIC a while to try again: the next
		// interval may be missed as well.
		codes := slices.DeleteFunc(troubles(events), func(code string) bool { return code == "suspended" })
		if diff := cmp.Diff([]string{"worker-silent", "worker-back"}, codes); diff != "" {
			t.Errorf("troubles: %s", diff)
		}
		if n := leaseEvents(events); n != 1 {
			t.Errorf("%d leases", n)
		}
		credited(t, agreed(t, m[0], m[1], end.LeaseId), 140*time.Second, 181*time.Second)
	})
}

func TestALongCutSuspendsTheTaskAndItsTimeIsNotPaid(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		id := submit(t, m[0], submission(t, m[0], "sleep 10s", "sleep 10s", "sleep 10s", "sleep 10s", "sleep 10s", "sleep 10s"), 25*time.Second)
		m[1].Cut()
		time.Sleep(5 * time.Minute)
		if st, err := m[1].Runtime.Status(t.Context(), tasksOf(t, m[1])[0]); err != nil || st.State != runtime.Paused {
			t.Errorf("the task is %+v, %v; want it frozen", st, err)
		}
		m[1].Mend()
		events := follow(t, m[0], id)
		end := exited(t, events, 0)
		if diff := cmp.Diff([]string{"worker-silent", "suspended", "worker-back"}, troubles(events)); diff != "" {
			t.Errorf("troubles: %s", diff)
		}
		credited(t, agreed(t, m[0], m[1], end.LeaseId), 40*time.Second, 65*time.Second)
	})
}

func TestACutLongerThanTheGraceLapsesOnBothSides(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{Grace: 2 * time.Minute}, Setting{GPUs: "rtx-4090", Price: price, Grace: 2 * time.Minute})
		settle()
		id := submit(t, m[0], submission(t, m[0], "sleep 1h"), 20*time.Second)
		m[1].Cut()
		end := ended(t, follow(t, m[0], id))
		if end.Outcome != leasev1.Outcome_OUTCOME_LAPSED {
			t.Fatalf("ended %v", end)
		}
		time.Sleep(time.Minute)
		if n := m[1].Worker().Live(); n != 0 {
			t.Errorf("the worker still has %d leases", n)
		}
		m[1].Mend()
		time.Sleep(time.Minute)
		_, events := finish(t, m[0], submission(t, m[0], "exit 0"))
		exited(t, events, 0)
	})
}

func TestTheNextBidIsTakenWhenTheWinnerVanishesInTheAward(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price},
			Setting{GPUs: "rtx-4090", Price: price + 50_000}, Setting{GPUs: "rtx-4090", Price: price + 100_000})
		settle()
		sub := submission(t, m[0], "exit 0")
		sub.Broadcast = true
		id := submit(t, m[0], sub, 0)
		winner := m[1]
		var served string
		for e, err := range m[0].Requester().Events(t.Context(), id, true) {
			if err != nil {
				t.Fatal(err)
			}
			if b := e.GetBid(); b != nil && b.PeerId == winner.ID() {
				winner.Cut()
			}
			if l := e.GetLease(); l != nil {
				served = l.PeerId
			}
		}
		exited(t, follow(t, m[0], id), 0)
		if served != m[2].ID() {
			t.Errorf("served by %s; want the second cheapest, %s", served, m[2].ID())
		}
		time.Sleep(5 * time.Minute)
		if n := winner.Worker().Live(); n != 0 {
			t.Errorf("the winner holds %d leases that never began", n)
		}
	})
}

func TestAnHourAtOneBeatAMinute(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		sub := submission(t, m[0], "sleep 1h")
		sub.IntervalMs, sub.MaxDurationMs = time.Minute.Milliseconds(), (2 * time.Hour).Milliseconds()
		_, events := finish(t, m[0], sub)
		end := exited(t, events, 0)
		if n := beats(events); n < 59 || n > 62 {
			t.Errorf("%d beats; want about 60", n)
		}
		if tr := troubles(events); len(tr) != 0 {
			t.Errorf("troubles %v", tr)
		}
		s := agreed(t, m[0], m[1], end.LeaseId)
		credited(t, s, time.Hour-time.Second, time.Hour+time.Second)
		if s.Amount != price*s.CreditMS/3_600_000 {
			t.Errorf("%d micro-credits for %d ms at %d an hour", s.Amount, s.CreditMS, price)
		}
	})
}

func TestBeatsAreSealedOffTheHotPath(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{Seals: node.DefaultSealRate}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		sub := submission(t, m[0], "sleep 20s", "exit 0")
		_, events := finish(t, m[0], sub)
		end := ended(t, events)
		if end.Outcome != leasev1.Outcome_OUTCOME_EXITED {
			t.Fatalf("ended %v", end)
		}
		job := m[0].Requester().Jobs()[0]
		if job.Beats < 18 || job.Sealed < job.Beats-1 {
			t.Errorf("%d of %d beats are sealed; want all but the last at least", job.Sealed, job.Beats)
		}
		s, err := receipt.Verify(receiptOf(t, m[0], end.LeaseId))
		if err != nil || s.Squarings == 0 {
			t.Errorf("receipt: %v; squarings %d", err, s.Squarings)
		}
	})
}
