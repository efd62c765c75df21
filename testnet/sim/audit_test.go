package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

// audited opens a whole lease on a machine and replays it.
func audited(t *testing.T, m *Machine, lease string) (receipt.Audit, []string) {
	t.Helper()
	file, missing, err := m.OpenLease(t.Context(), lease, true)
	if err != nil {
		t.Fatal(err)
	}
	a, err := receipt.Policy{}.VerifyWhole(file)
	if err != nil {
		t.Fatal(err)
	}
	return a, missing
}

func TestWholeLeaseIsReplayedOnBothSidesWithSealsAndSamples(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{Seals: 1024 * 60}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		_, events := finish(t, m[0], submission(t, m[0], "sleep 80s"))
		lease := exited(t, events, 0).LeaseId
		s := agreed(t, m[0], m[1], lease)
		time.Sleep(time.Minute) // the seals are folded
		for side, machine := range map[string]*Machine{"requester": m[0], "worker": m[1]} {
			a, missing := audited(t, machine, lease)
			if len(missing) > 0 || a.Samples.Committed < 75 || a.Samples.Opened != a.Samples.Committed || a.Amount != s.Amount {
				t.Errorf("%s: missing %q, %+v", side, missing, a)
			}
			if a.Seals.Beats < 70 || a.Seals.Sealed == 0 || !a.Seals.Folded || !strings.HasSuffix(a.Proof, "replayed with seals") || len(a.Devices) != 1 {
				t.Errorf("%s: %+v", side, a)
			}
		}
		m[1].Stop()
		time.Sleep(time.Second)
		if a, missing := audited(t, m[0], lease); len(missing) != 1 || !strings.HasPrefix(missing[0], "the samples: ") || a.Samples.Opened != 0 {
			t.Errorf("the worker is away: %q, %+v", missing, a.Samples)
		}
	})
}
