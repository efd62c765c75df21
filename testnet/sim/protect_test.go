package sim

import (
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

// A node that has many peers closes connections, and never one that a lease uses.
func TestTheConnectionOfALeaseIsProtectedUntilItEnds(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		requester, worker := m[1], m[2]
		id := submit(t, requester, submission(t, requester, "sleep 2m"), 30*time.Second)
		_, lease, err := requester.Requester().Holder(id)
		if err != nil {
			t.Fatal(err)
		}
		protected := func(when string, want bool) {
			t.Helper()
			if got := requester.protects(worker, lease.String()); got != want {
				t.Errorf("%s: the requester protects it: %v, want %v", when, got, want)
			}
			if got := worker.protects(requester, lease.String()); got != want {
				t.Errorf("%s: the worker protects it: %v, want %v", when, got, want)
			}
		}
		protected("while it runs", true)
		for _, one := range []*Machine{requester, worker} {
			one.Stop()
			time.Sleep(time.Second)
			one.Start()
			time.Sleep(10 * time.Second)
		}
		protected("after a restart of both", true)
		exited(t, follow(t, requester, id), 0)
		time.Sleep(10 * time.Minute)
		protected("when it is over", false)
	})
}

// protects says whether a machine keeps its connection to another for something.
func (m *Machine) protects(other *Machine, what string) bool {
	return m.Host.Libp2p().ConnManager().IsProtected(other.Host.ID(), what)
}
