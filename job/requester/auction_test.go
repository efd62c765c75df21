package requester

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

var busy = &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_BUSY, Text: "in\u202e use\x07"}

func leased(events []*leasev1.JobEvent) (worker string, n int) {
	for _, e := range events {
		if l := e.GetLease(); l != nil {
			worker, n = l.PeerId, n+1
		}
	}
	return worker, n
}

func declined(events []*leasev1.JobEvent) (all []*marketv1.Decline) {
	for _, e := range events {
		if d := e.GetDecline(); d != nil {
			all = append(all, d.Decline)
		}
	}
	return all
}

func TestTheCheapestBidWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price + 2}, &rig{price: price}, &rig{price: price + 1}, &rig{decline: busy}, &rig{price: 3 * price})
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.Broadcast = true
		events, end := b.run(sub)
		if end.Outcome != leasev1.Outcome_OUTCOME_EXITED {
			t.Errorf("ended %v", end)
		}
		if who, n := leased(events); who != b.market.rigs[1].id.String() || n != 1 {
			t.Errorf("%d leases, the last with %s", n, who)
		}
		if d := declined(events); len(d) != 1 || d[0].Text != "in use" {
			t.Errorf("declines %v; want one, with clean text", d)
		}
		bids := 0
		for _, e := range events {
			if b := e.GetBid(); b != nil && b.Refused == "" {
				bids++
			}
		}
		if bids != 3 {
			t.Errorf("%d bids told; want those that are acceptable", bids)
		}
	})
}

func TestARefusedAwardGoesToTheNextBidWithoutAnotherAuction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, refuse: gone}, &rig{price: price + 1})
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.Broadcast = true
		events, _ := b.run(sub)
		if who, n := leased(events); who != b.market.rigs[1].id.String() || n != 1 {
			t.Errorf("%d leases, the last with %s", n, who)
		}
		if b.market.announced != 1 {
			t.Errorf("announced %d times", b.market.announced)
		}
		if d := declined(events); len(d) != 1 || strings.Contains(d[0].Text, "\x1b") {
			t.Errorf("declines %q", d)
		}
	})
}

func TestAnAwardIsDurableBeforeItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &rig{price: price}
		b := newBench(t, w)
		w.onAward = func(req *leasev1.AwardRequest) {
			records := b.journal.Records()
			last := records[len(records)-1]
			var recorded leasev1.AwardRequest
			if err := proto.Unmarshal(last.Event, &recorded); last.Kind != KindAward || err != nil || !proto.Equal(&recorded, req) {
				t.Errorf("sent while the last record was %s, %v", last.Kind, err)
			}
		}
		b.start()
		defer b.stop()
		b.run(b.submission())
		if len(w.awards) != 1 {
			t.Errorf("%d awards", len(w.awards))
		}
	})
}

// crashAwarding submits a job, and ends while its award is out and unanswered.
func (b *bench) crashAwarding() (id string) {
	b.t.Helper()
	b.start()
	id = b.submit(b.submission())
	time.Sleep(5 * time.Second) // the award is out, its answer never comes
	b.cancel()
	<-b.done
	return id
}

func TestALostCountersignatureIsAskedForWithTheSameBytesAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &rig{price: price, lost: 1}
		b := newBench(t, w)
		id := b.crashAwarding()
		if len(w.awards) != 1 {
			t.Fatalf("%d awards", len(w.awards))
		}
		b.start()
		defer b.stop()
		events, end := b.events(id)
		if end.Outcome != leasev1.Outcome_OUTCOME_EXITED {
			t.Errorf("ended %v", end)
		}
		if len(w.awards) != 2 || !bytes.Equal(w.awards[0], w.awards[1]) {
			t.Errorf("%d awards, not the same one twice", len(w.awards))
		}
		if _, n := leased(events); n != 1 || len(w.leases) != 1 {
			t.Errorf("%d leases here, %d there", n, len(w.leases))
		}
	})
}

func TestANamedWorkerIsTheOnlyOneAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price}, &rig{price: price + 1}, &rig{silent: true})
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.Worker = b.market.rigs[1].id.String()
		events, _ := b.run(sub)
		if who, _ := leased(events); who != sub.Worker {
			t.Errorf("served by %s", who)
		}
		if b.market.asked != 1 || b.market.announced != 0 {
			t.Errorf("%d asked, %d announced", b.market.asked, b.market.announced)
		}
		sub = b.submission()
		sub.Worker = b.market.rigs[2].id.String()
		if _, end := b.run(sub); end.Outcome != leasev1.Outcome_OUTCOME_NO_BID || !strings.Contains(end.Sentence, "no worker that was asked answered: context deadline exceeded") {
			t.Errorf("one that does not answer: ended %v", end)
		}
		sub = b.submission()
		sub.Worker = "nobody"
		if _, end := b.run(sub); end.Outcome != leasev1.Outcome_OUTCOME_FAILED || !strings.Contains(end.Sentence, "nobody") {
			t.Errorf("ended %v", end)
		}
	})
}

func TestAJobThatWaitsAsksAgainAndTellsEachReasonOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &rig{decline: busy, price: price}
		b := newBench(t, w)
		b.start()
		defer b.stop()
		if _, end := b.run(b.submission()); end.Outcome != leasev1.Outcome_OUTCOME_NO_BID {
			t.Errorf("without waiting it ended %v", end)
		}
		sub := b.submission()
		sub.WaitMs = time.Minute.Milliseconds()
		begun := time.Now()
		events, end := b.run(sub)
		if d := time.Since(begun); end.Outcome != leasev1.Outcome_OUTCOME_NO_BID || d < 50*time.Second || d > 65*time.Second {
			t.Errorf("ended %v after %s", end, d)
		}
		if d := declined(events); len(d) != 1 {
			t.Errorf("%d declines told of one worker", len(d))
		}
		id := b.submit(sub)
		time.Sleep(20 * time.Second)
		w.free()
		if _, end := b.events(id); end.Outcome != leasev1.Outcome_OUTCOME_EXITED {
			t.Errorf("ended %v once a worker was free", end)
		}
	})
}

func TestAWorkerThatIsFoundByGossipAloneMayServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, hidden: true}, &rig{price: price, silent: true})
		b.start()
		defer b.stop()
		if _, end := b.run(b.submission()); end.Outcome != leasev1.Outcome_OUTCOME_EXITED {
			t.Errorf("ended %v", end)
		}
	})
}

func TestNobodyIsWaitedForOnceEverybodyDeclined(t *testing.T) {
	const far = 300 * time.Millisecond
	for name, tc := range map[string]struct {
		rigs  []*rig
		named bool
		after time.Duration // until nobody bid; negative: it is served
	}{
		"the one that was named":                             {[]*rig{{decline: busy}}, true, 0},
		"all that are known":                                 {[]*rig{{decline: busy}, {decline: busy}}, false, announceAfter + widenAfter},
		"one far away that bids, known to nobody":            {[]*rig{{decline: busy, rtt: far}, {hidden: true, price: price, after: 5 * far}}, false, -1},
		"one whose answer does not come":                     {[]*rig{{decline: busy}, {silent: true}}, false, announceAfter + 3*widenAfter},
		"nobody known, and then one known to nobody bids":    {[]*rig{{hidden: true, price: price, after: 2 * time.Second}}, false, -1},
		"nobody that answers":                                {[]*rig{{silent: true}}, false, patience},
		"nobody known, and then one known to nobody is busy": {[]*rig{{hidden: true, decline: busy, after: 2 * time.Second}}, false, announceAfter + 3*widenAfter},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tc.rigs...)
				b.start()
				defer b.stop()
				sub := b.submission()
				if tc.named {
					sub.Worker = b.market.rigs[0].id.String()
				}
				begun := time.Now()
				_, end := b.run(sub)
				switch after := time.Since(begun); {
				case tc.after < 0 && end.Outcome != leasev1.Outcome_OUTCOME_EXITED:
					t.Errorf("it ended %v", end)
				case tc.after >= 0 && (end.Outcome != leasev1.Outcome_OUTCOME_NO_BID || after != tc.after):
					t.Errorf("it ended %v after %s, not %s", end, after, tc.after)
				}
			})
		})
	}
}

func TestAStormOfDeclinesDrownsNoBid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &rig{price: price}
		b := newBench(t, w)
		b.start()
		defer b.stop()
		j := b.newRun([16]byte{1}, b.submission(), nil, time.Now())
		a, err := j.announce()
		if err != nil {
			t.Fatal(err)
		}
		storm := &marketv1.Answer{Answer: &marketv1.Answer_Decline{Decline: &marketv1.Decline{AnnouncementHash: a.hash[:]}}}
		for n := range 3 * maxUnasked {
			from := sessiontest.Peer(t, sessiontest.Key(string(rune(n))))
			a.hear(answer{from: from, answer: storm})
			a.hear(answer{from: from, answer: storm})
		}
		got, err := w.ask(t.Context(), a.signed)
		if err != nil {
			t.Fatal(err)
		}
		a.waiting[w.id] = 1
		a.hear(answer{from: w.id, answer: got, asked: true})
		if len(a.bids) != 1 || len(a.waiting) != 0 {
			t.Errorf("%d bids, %d still asked", len(a.bids), len(a.waiting))
		}
		events, _, _ := j.history.from(0)
		if n := len(declined(events)); n > maxDeclines || len(a.heard) > maxUnasked+1 {
			t.Errorf("%d declines told, %d peers remembered", n, len(a.heard))
		}
		a.close()
	})
}

func TestBidsThatAreNotWhatTheySeemDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, other := &rig{price: price}, &rig{price: price}
		b := newBench(t, w, other)
		b.start()
		defer b.stop()
		j := b.newRun([16]byte{1}, b.submission(), nil, time.Now())
		a, _ := j.announce()
		defer a.close()
		good, _ := w.ask(t.Context(), a.signed)
		second, _ := j.announce()
		defer second.close()
		elsewhere, _ := w.ask(t.Context(), second.signed)
		broken := proto.CloneOf(good)
		broken.GetBid().Signature[0] ^= 1
		for name, an := range map[string]answer{
			"brought by another":   {from: other.id, answer: good},
			"another announcement": {from: w.id, answer: elsewhere},
			"a broken signature":   {from: w.id, answer: broken},
			"nothing":              {from: w.id, answer: &marketv1.Answer{}},
			"nil":                  {from: w.id},
		} {
			clear(a.heard)
			if a.hear(an); len(a.bids) != 0 {
				t.Errorf("%s: counted", name)
			}
		}
		clear(a.heard)
		time.Sleep(time.Minute)
		if a.hear(answer{from: w.id, answer: good}); len(a.bids) != 0 {
			t.Error("an expired bid counted")
		}
	})
}

func TestAJobCanBeStoppedWhileItSearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{decline: busy})
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.WaitMs = time.Hour.Milliseconds()
		id := b.submit(sub)
		time.Sleep(10 * time.Second)
		if err := b.Stop(t.Context(), id[:8], 0, false); err != nil {
			t.Fatal(err)
		}
		if _, end := b.events(id); end.Outcome != leasev1.Outcome_OUTCOME_STOPPED {
			t.Errorf("ended %v", end)
		}
		if err := b.Stop(t.Context(), id, 0, false); err == nil {
			t.Error("stopped twice")
		}
	})
}

func TestAJobCanBeStoppedWhileItsAwardIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, lost: 1})
		b.start()
		defer b.stop()
		id := b.submit(b.submission())
		time.Sleep(2 * time.Second)
		if err := b.Stop(t.Context(), id, 0, false); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, end := b.events(id); end.Outcome != leasev1.Outcome_OUTCOME_STOPPED {
			t.Errorf("ended %v", end)
		}
		if d := time.Since(begun); d > time.Second {
			t.Errorf("it took %s", d)
		}
	})
}

func TestASubmissionStaysItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price}, &rig{price: price})
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.Spec.TimeoutMs, sub.Worker = 1000, b.market.rigs[0].id.String()
		before := proto.CloneOf(sub)
		id := b.submit(sub)
		if !proto.Equal(sub, before) {
			t.Errorf("it is %v after Submit, not %v", sub, before)
		}
		sub.Worker = b.market.rigs[1].id.String() // for the next one
		events, _ := b.events(id)
		if who, _ := leased(events); who != before.Worker {
			t.Errorf("served by %s", who)
		}
	})
}

func TestASubmissionWithoutItsContentIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		sub := b.submission()
		delete(b.store, sub.Spec.Image.Digest)
		if _, err := b.Submit(t.Context(), sub); err == nil || !strings.Contains(err.Error(), "test:1") {
			t.Errorf("got %v; want an error that names the image", err)
		}
		if n := len(b.journal.Records()); n != 0 {
			t.Errorf("%d records", n)
		}
	})
}

func TestASubmissionOfALaterVersionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.ProtoReflect().SetUnknown([]byte{0xc0, 0x3e, 0x01}) // field 1000
		if _, err := b.Submit(t.Context(), sub); err == nil || !strings.Contains(err.Error(), "older version") {
			t.Errorf("got %v; want an error that names the node's version", err)
		}
	})
}

func wonBy(t *testing.T, b *bench, sub *leasev1.Submission, want int) []*leasev1.JobEvent {
	t.Helper()
	events, end := b.run(sub)
	if who, n := leased(events); who != b.market.rigs[want].id.String() || n != 1 {
		t.Errorf("%d leases, the last with %s; ended %v", n, who, end)
	}
	return events
}

func searched(events []*leasev1.JobEvent) (between time.Duration) {
	for _, e := range events {
		if e.GetLease() != nil {
			return time.Duration(e.AtMs-events[0].AtMs) * time.Millisecond
		}
	}
	return -1
}

func TestTheFirstBidWinsAtOnceWhenNobodyPromisedABetterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := time.Now()
		time.Sleep(time.Minute)
		b := newBench(t, &rig{price: price, seen: long, after: 5 * time.Millisecond, rtt: 1}, &rig{price: price + 50_000, seen: long, silent: true, rtt: 1})
		b.start()
		defer b.stop()
		if d := searched(wonBy(t, b, b.submission(), 0)); d > 6*time.Millisecond {
			t.Errorf("it took %s, though the dearer worker had nothing to add", d)
		}
	})
}

func TestABidWaitsForABetterOneThatWasPromisedAndNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price + 50_000, after: 5 * time.Millisecond, rtt: 1}, &rig{price: price, after: 15 * time.Millisecond, rtt: 1})
		b.start()
		defer b.stop()
		wonBy(t, b, b.submission(), 1)
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price + 50_000, after: 5 * time.Millisecond, rtt: 1}, &rig{price: price, silent: true, rtt: 1})
		b.start()
		defer b.stop()
		if d := searched(wonBy(t, b, b.submission(), 0)); d > 40*time.Millisecond {
			t.Errorf("it took %s to give up a worker that promised more and said nothing", d)
		}
	})
}

func TestNobodyIsAnnouncedToWhenAKnownWorkerBids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, after: 100 * time.Millisecond})
		b.start()
		defer b.stop()
		wonBy(t, b, b.submission(), 0)
		if b.market.announced != 0 || len(b.market.withdrawn) != 0 {
			t.Errorf("announced %d times, withdrawn %d", b.market.announced, len(b.market.withdrawn))
		}
	})
}

func TestAnAnnouncementIsWithdrawnAndLosersAreToldThePrice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price}, &rig{price: price + 1000}, &rig{price: price + 2000, after: time.Second})
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.Broadcast = true
		wonBy(t, b, sub, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(b.market.withdrawn) != 1 || !slices.Equal(b.market.losers, []peer.ID{b.market.rigs[1].id}) {
			t.Fatalf("withdrawn %d times, losers %v", len(b.market.withdrawn), b.market.losers)
		}
		w, err := statement.OpenWithdrawal(b.market.withdrawn[0])
		if err != nil || job.CheckWithdrawal(w.Message()) != nil || w.Message().Price != price {
			t.Errorf("withdrawal %v, %v", w.Message(), err)
		}
		late := &marketv1.Answer{Answer: &marketv1.Answer_Decline{Decline: &marketv1.Decline{AnnouncementHash: w.Message().AnnouncementHash}}}
		if over, at := b.Answered(b.market.rigs[2].id, late); !over || at != price {
			t.Errorf("a late answer learns %t, %d", over, at)
		}
		if over, at := b.Answered(b.market.rigs[2].id, &marketv1.Answer{}); !over || at != 0 {
			t.Errorf("an answer to nothing learns %t, %d", over, at)
		}
	})
}

func TestPlacementRefusesBidsAndSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		place *leasev1.Placement
		says  string
	}{
		"region":     {&leasev1.Placement{Regions: []string{"eu"}}, "the machine is in us-east, not in eu"},
		"distance":   {&leasev1.Placement{MaxRttMs: 100}, "it is 180ms away, and at most 100ms was asked for"},
		"reputation": {&leasev1.Placement{MinReputation: 60}, "its reputation here is 50 %"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &rig{price: price, region: "us-east", far: 180 * time.Millisecond, hidden: true},
					&rig{price: 2 * price, region: "eu-west", far: 20 * time.Millisecond, hidden: true})
				b.standing.records = map[peer.ID]market.Record{b.market.rigs[1].id: {Good: 3}}
				b.start()
				defer b.stop()
				sub := b.submission()
				sub.Placement = c.place
				var refused string
				for _, e := range wonBy(t, b, sub, 1) {
					if r := e.GetBid().GetRefused(); r != "" {
						refused = r
					}
				}
				if !strings.Contains(refused, c.says) {
					t.Errorf("refused because %q", refused)
				}
			})
		})
	}
}

func TestADeniedOrShunnedWorkerIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: 1}, &rig{price: 2}, &rig{price: price})
		b.standing.records = map[peer.ID]market.Record{b.market.rigs[0].id: {Strikes: 3, Last: time.Now()}}
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.Placement = &leasev1.Placement{Deny: []string{b.market.rigs[1].id.String()}}
		wonBy(t, b, sub, 2)
		if b.market.asked != 1 {
			t.Errorf("%d workers asked", b.market.asked)
		}
	})
}

func TestAWorkerThatBidsAndNeverAnswersItsAwardLosesStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, lost: 1}, &rig{price: price + 1000})
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.Broadcast = true
		wonBy(t, b, sub, 1)
		if !slices.Equal(b.standing.struck, []peer.ID{b.market.rigs[0].id}) {
			t.Errorf("struck %v", b.standing.struck)
		}
	})
}

func TestAWorkerThatIsNotReachedLosesStandingUnlessThisNodeWasAway(t *testing.T) {
	for name, away := range map[string]bool{"here": false, "away": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, &rig{price: price, away: true})
				b.start()
				id := b.submit(b.submission())
				time.Sleep(5 * time.Second) // awarded, and not begun
				if away {
					b.stop()
					time.Sleep(10 * time.Minute)
					b.start()
				}
				defer b.stop()
				if _, end := b.events(id); !strings.Contains(end.GetSentence(), "never began") {
					t.Errorf("ended %v", end)
				}
				if struck := len(b.standing.struck) == 1; struck == away {
					t.Errorf("struck %v", b.standing.struck)
				}
			})
		})
	}
}

func TestAPlacementThatMakesNoSenseIsRefusedWithEveryReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.Placement = &leasev1.Placement{Regions: []string{"EU!"}, MaxRttMs: -1, MinReputation: 101, Deny: []string{"bob"}}
		_, err := b.Submit(t.Context(), sub)
		for _, part := range []string{`region "EU!"`, "round trip -1", "101 %", `"bob"`} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not name %s", err, part)
			}
		}
	})
}

func TestAWorkerThatWantsAProofOfWorkGetsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, stamp: 10})
		b.start()
		defer b.stop()
		wonBy(t, b, b.submission(), 0)
		if b.market.asked != 2 {
			t.Errorf("asked %d times; want once without and once with", b.market.asked)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, stamp: 10})
		b.market.stamp = 12 // the network is under a flood
		b.start()
		defer b.stop()
		wonBy(t, b, b.submission(), 0)
		if b.market.asked != 1 {
			t.Errorf("asked %d times", b.market.asked)
		}
	})
}

const (
	gone    = marketv1.DeclineReason_DECLINE_REASON_GONE
	invalid = marketv1.DeclineReason_DECLINE_REASON_INVALID
)

// A worker of an earlier version bids, and refuses the spec that it does not know all of.
func TestAWorkerThatRefusesTheJobItselfIsNotAwardedItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, refuse: invalid}, &rig{price: price + 50_000, after: time.Second})
		b.start()
		defer b.stop()
		wonBy(t, b, b.submission(), 1)
		if n := len(b.market.rigs[0].awards); n != 1 {
			t.Errorf("%d awards to the worker that refused the job", n)
		}
	})
}

func TestWhyNoBidCouldWinIsSaid(t *testing.T) {
	for says, c := range map[string]struct {
		rig     *rig
		ahead   time.Duration // of this node's clock
		strikes int
	}{
		"it refused the job: too":               {rig: &rig{price: price, refuse: invalid}},
		"its bid expired 10s ago":               {rig: &rig{price: price}, ahead: 40 * time.Second},
		"of 1 workers none is asked":            {rig: &rig{price: price, silent: true}, strikes: 3},
		"bid before and then never started":     {rig: &rig{price: price, hidden: true}, strikes: 3},
		"no worker was found; this node is con": {rig: &rig{price: price, hidden: true, silent: true}},
	} {
		t.Run(says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, c.rig)
				b.now = func() time.Time { return time.Now().Add(c.ahead) }
				b.standing.records = map[peer.ID]market.Record{b.market.rigs[0].id: {Strikes: c.strikes, Last: time.Now()}}
				b.start()
				defer b.stop()
				if _, end := b.run(b.submission()); end.Outcome != leasev1.Outcome_OUTCOME_NO_BID || !strings.Contains(end.Sentence, says) {
					t.Errorf("ended %v", end)
				}
			})
		})
	}
}

func TestAnAwardWhoseTimeIsOverIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, lost: 1})
		id := b.crashAwarding()
		time.Sleep(time.Hour)
		b.start()
		defer b.stop()
		if _, end := b.events(id); end.Outcome != leasev1.Outcome_OUTCOME_EXITED {
			t.Errorf("ended %v", end)
		}
		if len(b.standing.struck) != 0 {
			t.Errorf("struck %v", b.standing.struck)
		}
	})
}

func TestAJobThatIsStoppedAsItsAwardIsSignedHasEndedSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &rig{price: price, away: true}
		b := newBench(t, w)
		ids := make(chan string, 1)
		w.onAward = func(*leasev1.AwardRequest) {
			go func() {
				if err := b.Stop(t.Context(), <-ids, 0, false); err != nil {
					t.Error(err)
				}
			}()
		}
		b.start()
		defer b.stop()
		id := b.submit(b.submission())
		ids <- id
		if _, end := b.events(id); end.Outcome != leasev1.Outcome_OUTCOME_STOPPED || len(b.standing.struck) != 0 {
			t.Errorf("ended %v, struck %v", end, b.standing.struck)
		}
	})
}

func TestEveryAwardOfAJobHasALaterNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var numbers []uint64
		note := func(req *leasev1.AwardRequest) {
			terms, err := statement.OpenRequesterTerms(req.Terms)
			if err != nil {
				t.Error(err)
				return
			}
			numbers = append(numbers, terms.Message().Fence)
		}
		b := newBench(t, &rig{price: price, refuse: gone, onAward: note}, &rig{price: price + 1, onAward: note})
		b.start()
		defer b.stop()
		sub := b.submission()
		sub.Broadcast = true
		wonBy(t, b, sub, 1)
		if !slices.Equal(numbers, []uint64{1, 2}) {
			t.Errorf("numbers %v", numbers)
		}
	})
}
