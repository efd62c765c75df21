package sim

import (
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestANodeThatOnlyRentsIsNotItsOwnWorker(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		for range 2 { // the node starts again, and knows the job of before
			sub := submission(t, m[0], "exit 0")
			sub.Worker = m[0].ID()
			_, events := finish(t, m[0], sub)
			end := ended(t, events)
			if end.Outcome != leasev1.Outcome_OUTCOME_NO_BID {
				t.Fatalf("ended %v", end)
			}
			if !strings.Contains(end.Sentence, "lends nothing") {
				t.Errorf("the reason is %q", end.Sentence)
			}
			m[0].Stop()
			m[0].Start()
			settle()
		}
	})
}
