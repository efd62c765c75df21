package requester

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// TestEvidenceThatDoesNotFitIsToldOnceAndEndsTheTaskOnlyWhenTheJobWantsIt has a
// worker that claims time and shows no samples.
func TestEvidenceThatDoesNotFitIsToldOnceAndEndsTheTaskOnlyWhenTheJobWantsIt(t *testing.T) {
	for _, c := range []struct {
		stop    bool
		outcome leasev1.Outcome
		least   uint64 // credited, in ms
		most    uint64
	}{
		{false, leasev1.Outcome_OUTCOME_EXITED, 290_000, 301_000},
		{true, leasev1.Outcome_OUTCOME_STOPPED, 10_000, 60_000},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, &rig{price: price, ran: 5 * time.Minute, stdout: "hello\n"})
			b.start()
			defer b.stop()
			sub := b.submission()
			sub.IntervalMs, sub.StopDisputed = 20_000, c.stop
			events, end := b.run(sub)
			if end.Outcome != c.outcome || end.CreditMs < c.least || end.CreditMs > c.most {
				t.Errorf("stop %t: ended %v", c.stop, end)
			}
			told := map[string]int{}
			for _, e := range events {
				if tr := e.GetTrouble(); tr != nil {
					told[tr.Code]++
					if tr.Code == "evidence-differs" && !strings.Contains(tr.Sentence, "fewer samples") {
						t.Errorf("told: %s", tr.Sentence)
					}
				}
			}
			if told["evidence-differs"] != 1 || (told["stopped-disputed"] == 1) != c.stop {
				t.Errorf("stop %t: told %v", c.stop, told)
			}
			var ack leasev1.Ack
			if err := proto.Unmarshal(b.kept.kept[0].LastAck.Payload, &ack); err != nil {
				t.Fatal(err)
			}
			if ack.Verdict != leasev1.Verdict_VERDICT_DISPUTED || !ack.Observed.GetRunning() || ack.Observed.StdoutBytes != 6 {
				t.Errorf("acked with %v", &ack)
			}
		})
	}
}
