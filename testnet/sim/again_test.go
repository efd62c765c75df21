package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

func leases(events []*leasev1.JobEvent) (all []*leasev1.LeaseSigned) {
	for _, e := range events {
		if l := e.GetLease(); l != nil {
			all = append(all, l)
		}
	}
	return all
}

// A partition cuts the first worker off for longer than it may be silent. The job runs
// again elsewhere, through a restart of its requester, and each lease is paid for what
// both of its sides agreed on.
func TestAJobWithRetriesRunsAgainAfterAPartition(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		const grace = 2 * time.Minute
		m := Network(t, Setting{Grace: grace}, Setting{GPUs: "rtx-4090", Price: price, Grace: grace},
			Setting{GPUs: "rtx-4090", Price: price + 100_000, Grace: grace})
		settle()
		sub := submission(t, m[0], "print begun", "sleep 90s", "print done", "exit 3")
		sub.Retries = 1
		id := submit(t, m[0], sub, 20*time.Second)
		m[1].Cut()
		for len(tasksOf(t, m[2])) == 0 {
			time.Sleep(time.Second)
		}
		m[0].Stop()
		m[0].Start()
		m[1].Mend()
		events := follow(t, m[0], id)
		end := exited(t, events, 3)
		if got := output(t, m[0], id, runtime.Stdout); got != "begun\nbegun\ndone\n" {
			t.Errorf("the tasks printed %q", got)
		}
		if diff := cmp.Diff([]string{"worker-silent", "suspended", "again"}, troubles(events)); diff != "" {
			t.Errorf("troubles: %s", diff)
		}
		all := leases(events)
		if len(all) != 2 || all[0].PeerId != m[1].ID() || all[1].PeerId != m[2].ID() || all[0].Terms.Fence >= all[1].Terms.Fence {
			t.Fatalf("leases %v", all)
		}
		first, second := agreed(t, m[0], m[1], all[0].LeaseId), agreed(t, m[0], m[2], all[1].LeaseId)
		credited(t, first, 15*time.Second, 25*time.Second)
		credited(t, second, 85*time.Second, 95*time.Second)
		if end.CreditMs != first.CreditMS+second.CreditMS || end.Amount != first.Amount+second.Amount {
			t.Errorf("the job cost %d ms, %d; its receipts say %d and %d ms, %d and %d", end.CreditMs, end.Amount,
				first.CreditMS, second.CreditMS, first.Amount, second.Amount)
		}
		for i, lease := range []string{all[0].LeaseId, all[1].LeaseId} {
			if _, faults := audited(t, m[0], lease); len(faults) != 0 {
				t.Errorf("lease %d: %v", i, faults)
			}
		}
		time.Sleep(time.Minute)
		if n := m[1].Worker().Live() + m[2].Worker().Live() + len(tasksOf(t, m[2])); n != 0 {
			t.Errorf("%d leases and tasks are left", n)
		}
		for _, id := range tasksOf(t, m[1]) { // what it left waits there for a day
			if st, err := m[1].Runtime.Status(t.Context(), id); err != nil || st.State != runtime.Exited {
				t.Errorf("a task of the lapsed lease is %+v, %v", st, err)
			}
		}
	})
}

func TestAJobThatExitsIsNotRunAgain(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		sub := submission(t, m[0], "exit 7")
		sub.Retries = 3
		_, events := finish(t, m[0], sub)
		exited(t, events, 7)
		if n := leaseEvents(events); n != 1 {
			t.Errorf("%d leases", n)
		}
	})
}

// The worker's machine is shut down in order, which ends its tasks with a code.
func TestAJobWhoseTaskIsLostIsRunAgain(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		sub := submission(t, m[0], "sleep 1h")
		sub.Retries = 1
		id := submit(t, m[0], sub, 20*time.Second)
		for range 2 {
			if err := m[1].Runtime.Lose(tasksOf(t, m[1])[0]); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
		}
		events := follow(t, m[0], id)
		end := ended(t, events)
		if end.Outcome != leasev1.Outcome_OUTCOME_FAILED || !strings.Contains(end.Sentence, "was lost") || end.Exit.GetCode() != 143 || end.CreditMs == 0 {
			t.Errorf("ended %v", end)
		}
		if n := leaseEvents(events); n != 2 {
			t.Errorf("%d leases", n)
		}
	})
}

func TestRetriesEndWhenNobodyIsLeft(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		const grace = 2 * time.Minute
		m := Network(t, Setting{Grace: grace}, Setting{GPUs: "rtx-4090", Price: price, Grace: grace})
		settle()
		sub := submission(t, m[0], "sleep 1h")
		sub.Retries = 2
		id := submit(t, m[0], sub, 20*time.Second)
		m[1].Cut()
		events := follow(t, m[0], id)
		end := ended(t, events)
		if end.Outcome != leasev1.Outcome_OUTCOME_NO_BID || end.CreditMs == 0 || leaseEvents(events) != 1 {
			t.Errorf("ended %v", end)
		}
	})
}
