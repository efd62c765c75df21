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

func TestAnEndCountsOnlyForBeatsThatWereAskedForAfterItWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, ran: time.Minute})
		b.start()
		defer b.stop()
		id := b.submit(b.submission())
		time.Sleep(20 * time.Second)
		synctest.Wait()
		j, err := b.find(id)
		if err != nil {
			t.Fatal(err)
		}
		held := j.lease()
		next := held.session.Lease().Challenged()
		for _, phase := range []leasev1.Phase{leasev1.Phase_PHASE_COLLECTING, leasev1.Phase_PHASE_ENDED} {
			held.progress(&leasev1.Progress{Phase: phase})
			if early, late := held.observation(next-1), held.observation(next); early.Ended || early.Running || !late.Ended {
				t.Errorf("in %s: a beat that was under way is held against %v, the next against %v", phase, early, late)
			}
			time.Sleep(10 * time.Second)
		}
		if now := held.session.Lease().Challenged(); now < next+10 {
			t.Errorf("interval %d follows on %d", now, next)
		}
		b.events(id)
	})
}
