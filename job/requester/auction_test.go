package requester

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/session/sessiontest"
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
			if e.GetBid() != nil {
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
		b := newBench(t, &rig{price: price, refuse: true}, &rig{price: price + 1})
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

func TestALostCountersignatureIsAskedForWithTheSameBytesAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &rig{price: price, lost: 1}
		b := newBench(t, w)
		b.start()
		id := b.submit(b.submission())
		time.Sleep(5 * time.Second) // the award is out, its answer never comes
		b.cancel()
		<-b.done
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
		b := newBench(t, &rig{price: price}, &rig{price: price + 1})
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
		a.asked = 1
		a.hear(answer{from: w.id, answer: got, asked: true})
		if len(a.bids) != 1 || a.asked != 0 {
			t.Errorf("%d bids, %d still asked", len(a.bids), a.asked)
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
