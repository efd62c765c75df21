package worker_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// dear is what no worker of this bench bids for.
func (b *bench) dear() *marketv1.Spec {
	spec := b.spec()
	spec.Gpu.Count = 9
	return spec
}

func (b *bench) hear(ann worker.Announcement) {
	b.t.Helper()
	if err := b.Hear(b.t.Context(), ann); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) withdraw(ann worker.Announcement, by string, price uint64) error {
	b.t.Helper()
	hash, key := ann.Hash(), sessiontest.Key(by)
	signed, err := statement.Sign(key, statement.TypeWithdrawal, &marketv1.Withdrawal{
		Version: 1, Network: network, Requester: sessiontest.Public(key), AnnouncementHash: hash[:], Price: price, IssuedMs: 1,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	w, err := statement.OpenWithdrawal(signed)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.LetGo(w)
}

func TestAWorkerRemembersWhatItHeardAndWhatBecameOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		lost, dear := b.announce(requesterKey, b.spec()), b.announce(requesterKey, b.dear())
		b.hear(lost)
		b.hear(dear)
		b.hear(lost) // by another way
		if err := b.withdraw(lost, "stranger", 1); err != nil {
			t.Fatal(err)
		}
		if jobs, _ := b.Heard(); jobs[1].Lost {
			t.Error("a stranger withdrew it")
		}
		if err := b.withdraw(lost, "requester", price-1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		a := b.prepare(requesterKey, "exit 0")
		b.lease(a.request())
		defer b.clear()
		jobs, total := b.Heard()
		if len(jobs) != 3 || total != 3 {
			t.Fatalf("heard of %d, %d in all", len(jobs), total)
		}
		won, declined, gone := jobs[0], jobs[1], jobs[2]
		if !won.Won || won.Bid != price || won.Wanted != "1 GPU, 1 core, 64 MiB of memory" {
			t.Errorf("won %+v", won)
		}
		if declined.Decline.GetReason() != marketv1.DeclineReason_DECLINE_REASON_COUNT || declined.Wanted != "9 GPUs, 1 core, 64 MiB of memory" {
			t.Errorf("declined %+v", declined)
		}
		if !gone.Lost || gone.Price != price-1 || gone.From != sessiontest.Peer(t, requesterKey) {
			t.Errorf("lost %+v", gone)
		}
	})
}

func TestALateBidLearnsAtWhatPriceItLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.peers.over, b.peers.price = true, 99
		b.start()
		defer b.stop()
		b.hear(b.announce(requesterKey, b.spec()))
		if jobs, _ := b.Heard(); !jobs[0].Lost || jobs[0].Price != 99 {
			t.Errorf("heard %+v", jobs[0])
		}
	})
}

func TestWhatIsRememberedOfHeardJobsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		for range 1000 {
			time.Sleep(time.Second)
			if _, err := b.Ask(b.announce(requesterKey, b.dear())); err != nil {
				t.Fatal(err)
			}
		}
		jobs, total := b.Heard()
		if len(jobs) > 256 || len(jobs) < 128 || total != 1000 || !jobs[0].At.After(jobs[1].At) {
			t.Errorf("%d of %d remembered", len(jobs), total)
		}
	})
}

// A job that nobody can serve brings no storm: what comes is bounded, and says for how
// many it stands.
func TestDeclinesOfALargeCrowdAreSampledAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		for range 100 {
			b.hear(b.announce(requesterKey, b.dear()))
			time.Sleep(time.Millisecond) // another announcement
		}
		few := len(b.peers.answered)
		if few < 35 || few > 60 {
			t.Errorf("%d declines brought in a tenth of a second; want some 40", few)
		}
		time.Sleep(time.Minute)
		b.crowd = 100_000
		for range 100 {
			b.hear(b.announce(requesterKey, b.dear()))
			time.Sleep(time.Second)
		}
		if n := len(b.peers.answered) - few; n > 5 {
			t.Errorf("%d declines brought in a crowd of 100,000", n)
		}
		answer, err := b.Ask(b.announce(requesterKey, b.dear()))
		if err != nil || answer.GetDecline() == nil {
			t.Errorf("asked directly it says %v, %v", answer, err)
		}
	})
}

func TestAWorkerTurnsAwayWhoLetItDownOrDoesNoWork(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*bench)
		want   marketv1.DeclineReason
	}{
		{"awarded and vanished", func(b *bench) { b.standing.record = market.Record{Strikes: 3, Last: time.Now()} },
			marketv1.DeclineReason_DECLINE_REASON_STANDING},
		{"the owner's word", func(b *bench) { b.policy.Serves = func(string) bool { return false } }, marketv1.DeclineReason_DECLINE_REASON_POLICY},
		{"no proof of work", func(b *bench) { b.policy.StampBits = 20 }, marketv1.DeclineReason_DECLINE_REASON_STAMP},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				c.change(b)
				b.start()
				defer b.stop()
				got, err := b.Ask(b.announce(requesterKey, b.spec()))
				if err != nil || got.GetDecline().GetReason() != c.want {
					t.Errorf("%v, %v", got, err)
				}
			})
		})
	}
}

// Both sides see that one of two clocks is wrong.
func TestAnAnnouncementThatHasExpiredIsDeclinedAndRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		old := b.announce(requesterKey, b.spec())
		time.Sleep(time.Minute)
		got, err := b.Ask(old)
		if d := got.GetDecline(); err != nil || d.GetReason() != marketv1.DeclineReason_DECLINE_REASON_EXPIRED || d.GetText() != "statement expired 30s ago" {
			t.Errorf("%v, %v", got, err)
		}
		if jobs, _ := b.Heard(); len(jobs) != 1 || jobs[0].Decline.GetReason() != marketv1.DeclineReason_DECLINE_REASON_EXPIRED {
			t.Errorf("heard %+v", jobs)
		}
	})
}

func TestARequesterThatAwardsAndNeverComesLosesStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		a := b.prepare(requesterKey, "exit 0")
		b.lease(a.request())
		if b.free() != 1 {
			t.Fatalf("%d devices free", b.free())
		}
		time.Sleep(2 * time.Hour) // past the terms' start-by
		synctest.Wait()
		if b.free() != 2 {
			t.Errorf("%d devices free after the start-by", b.free())
		}
		if len(b.standing.struck) != 1 || b.standing.struck[0] != sessiontest.Peer(t, requesterKey) {
			t.Errorf("struck %v", b.standing.struck)
		}
	})
}

func TestWhoDidNotComeWithoutFaultIsNotStruck(t *testing.T) {
	for name, end := range map[string]func(*bench, []byte){
		"its owner pauses": func(b *bench, id []byte) {
			if err := b.Yield(job.LeaseID(id).String(), 0, "paused"); err != nil {
				b.t.Fatal(err)
			}
		},
		"this node was away": func(b *bench, _ []byte) {
			b.stop()
			time.Sleep(10 * time.Minute)
			b.start()
		},
		"its requester stops": func(b *bench, id []byte) {
			ofRequester, ofWorker := session.Pipe(sessiontest.Peer(b.t, requesterKey), sessiontest.Peer(b.t, workerKey))
			b.t.Cleanup(ofRequester.Reset)
			stop := &leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Stop{Stop: &leasev1.Stop{}}}
			if err := errors.Join(b.Accept(b.t.Context(), id, ofWorker), ofRequester.Send(stop)); err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.start()
				defer b.stop()
				_, id := b.lease(b.prepare(requesterKey, "exit 0").request())
				end(b, id)
				synctest.Wait()
				if b.free() != 2 {
					t.Errorf("%d devices free", b.free())
				}
				b.standing.mu.Lock()
				defer b.standing.mu.Unlock()
				if len(b.standing.struck) != 0 {
					t.Errorf("struck %v", b.standing.struck)
				}
			})
		})
	}
}
