package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

// However long the sides were parted, they keep the lease again within half a minute, and it is one
// lease with one bill. Where three of ten packets are lost besides, it takes a few attempts more.
func TestPartedSidesKeepTheirLeaseAgain(t *testing.T) {
	for _, parted := range []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute} {
		for _, lost := range []float64{0, 0.3} {
			t.Run(fmt.Sprintf("%s, %.0f %% lost", parted, lost*100), func(t *testing.T) {
				p2ptest.Bubble(t, func(t *testing.T) { part(t, parted, lost) })
			})
		}
	}
}

func part(t *testing.T, long time.Duration, lost float64) {
	const interval = 5 * time.Second
	healed := 30 * time.Second
	if lost > 0 {
		healed = 2 * time.Minute
	}
	m := Network(t, Setting{Grace: time.Hour}, Setting{GPUs: "rtx-4090", Price: price, Grace: time.Hour})
	settle()
	const step, steps = 10 * time.Second, 30 // a frozen task goes on where it stood, to a step
	sub := submission(t, m[0], append(slices.Repeat([]string{"sleep 10s"}, steps), "exit 7")...)
	sub.IntervalMs = interval.Milliseconds()
	id := submit(t, m[0], sub, 30*time.Second)
	m[0].LoseEverywhere(lost)
	time.Sleep(time.Minute)
	m[1].Cut()
	time.Sleep(long)
	before, mended := beating(t, m[0]), time.Now()
	m[1].Mend()
	for beating(t, m[0]) == before {
		time.Sleep(100 * time.Millisecond)
	}
	took := time.Since(mended)
	t.Logf("the next heartbeat was signed %s after", took)
	if took > healed {
		t.Errorf("no heartbeat within %s", healed)
	}
	events := follow(t, m[0], id)
	end := exited(t, events, 7)
	if n := leaseEvents(events); n != 1 {
		t.Errorf("%d leases", n)
	}
	m[0].LoseEverywhere(0)
	credited(t, agreed(t, m[0], m[1], end.LeaseId), (steps-2)*step, (steps+2)*step)
}

// beating counts the heartbeats of the one job that a machine has.
func beating(t *testing.T, m *Machine) uint64 {
	t.Helper()
	all := m.Requester().Jobs()
	if len(all) != 1 {
		t.Fatalf("%d jobs", len(all))
	}
	return all[0].Beats
}
