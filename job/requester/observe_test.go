package requester

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/statement"
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
			acks := b.acks()
			if !slices.ContainsFunc(acks, func(a *leasev1.Ack) bool {
				return a.Verdict == leasev1.Verdict_VERDICT_DISPUTED && a.Observed.GetRunning() && a.Observed.StdoutBytes == 6
			}) { // a beat that follows close on another needs few samples, and may be good
				t.Errorf("acked with %v", acks)
			}
		})
	}
}

// acks are those that the requester signed.
func (b *bench) acks() (acks []*leasev1.Ack) {
	b.t.Helper()
	for _, r := range b.journal.Records() {
		rec, err := session.Recorded(r)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, s := range rec.Statements {
			a := &leasev1.Ack{}
			if s.Type != string(statement.TypeAck) {
				continue
			}
			if err := proto.Unmarshal(s.Payload, a); err != nil {
				b.t.Fatal(err)
			}
			acks = append(acks, a)
		}
	}
	return acks
}
