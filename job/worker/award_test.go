package worker_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestAnAwardIsHeldAgainstBidSpecAndPolicy(t *testing.T) {
	const (
		invalid = marketv1.DeclineReason_DECLINE_REASON_INVALID
		expired = marketv1.DeclineReason_DECLINE_REASON_EXPIRED
	)
	for _, c := range []struct {
		name   string
		change func(*attempt)
		reason marketv1.DeclineReason
		text   string
	}{
		{"terms signed by somebody else", func(a *attempt) { a.terms.Requester = sessiontest.Public(strangerKey) }, invalid, "requester key"},
		{"terms of another worker", func(a *attempt) { a.terms.Worker = sessiontest.Public(strangerKey) }, invalid, "worker key"},
		{"terms that make no sense", func(a *attempt) { a.terms.MaxUnpaid = 0 }, invalid, "max_unpaid"},
		{"another network", func(a *attempt) { a.terms.Network = "other" }, invalid, "network"},
		{"another nonce", func(a *attempt) { a.terms.WorkerNonce = make([]byte, 16) }, invalid, "nonce"},
		{"a lower price", func(a *attempt) { a.terms.Price-- }, invalid, "price"},
		{"another device", func(a *attempt) { a.terms.GpuTags[0] = make([]byte, 32) }, invalid, "devices"},
		{"a device more", func(a *attempt) { a.terms.GpuTags = append(a.terms.GpuTags, make([]byte, 32)) }, invalid, "devices"},
		{"no simulated mark", func(a *attempt) { a.terms.Simulated = false }, invalid, "simulated"},
		{"too much patience", func(a *attempt) { a.terms.AbsentGraceMs = time.Hour.Milliseconds() }, invalid, "absent grace"},
		{"an interval too short", func(a *attempt) { a.terms.IntervalMs, a.terms.GraceMs = 200, 50 }, invalid, "interval"},
		{"too late to start", func(a *attempt) {
			a.terms.CreatedMs = time.Now().Add(-time.Hour).UnixMilli()
			a.terms.StartByMs = time.Now().Add(-time.Minute).UnixMilli()
		}, invalid, "start-by"},
		{"a start that is years away", func(a *attempt) {
			a.terms.CreatedMs = time.Now().AddDate(70, 0, 0).UnixMilli()
			a.terms.StartByMs = a.terms.CreatedMs + time.Minute.Milliseconds()
		}, invalid, "start-by"},
		{"a day to come in", func(a *attempt) { a.terms.StartByMs = time.Now().Add(23 * time.Hour).UnixMilli() }, invalid, "start-by"},
		{"much that is unpaid", func(a *attempt) { a.terms.MaxUnpaid = 3 }, invalid, "max_unpaid"},
		{"a seal that costs too much", func(a *attempt) {
			a.terms.SealSuite, a.terms.SealModulus, a.terms.SealT = job.SealWesolowski, job.SealRSA2048, 11*uint64(a.terms.IntervalMs)
		}, invalid, "seal"},
		{"itself as a witness", func(a *attempt) { a.terms.Witnesses = [][]byte{sessiontest.Public(workerKey)} }, invalid, "witnesses"},
		{"another image", func(a *attempt) { a.spec.Image.Digest = "sha256:" + strings.Repeat("0", 64) }, invalid, "image digest"},
		{"another platform", func(a *attempt) { a.spec.Image.Platform = "linux/arm64" }, invalid, "platform"},
		{"a spec that is none", func(a *attempt) { a.spec.Image.MediaType = "text/plain"; a.spec.Version = 9 }, invalid, "spec"},
		{"a spec of a later version", func(a *attempt) { a.spec.ProtoReflect().SetUnknown([]byte{0xc0, 0x3e, 0x01}) }, invalid, "does not know"},
		{"more devices in the spec", func(a *attempt) { a.spec.Gpu.Count = 2 }, invalid, "device count"},
		{"more memory than was announced", func(a *attempt) { a.spec.Resources.MemoryBytes = 1 << 40 }, marketv1.DeclineReason_DECLINE_REASON_MACHINE, "memory"},
		{"longer than the owner lends", func(a *attempt) { a.terms.MaxDurationMs = (48 * time.Hour).Milliseconds() }, marketv1.DeclineReason_DECLINE_REASON_DURATION, "24h"},
		{"a bid that expired", func(a *attempt) { a.wait = 40 * time.Second }, expired, "expired"},
		{"somebody else's bid", func(a *attempt) {
			signed, _ := statement.Sign(strangerKey, statement.TypeBid, &marketv1.Bid{Version: 1, Worker: sessiontest.Public(strangerKey)})
			a.bid = signed
		}, invalid, "not this worker's"},
		{"no bid", func(a *attempt) { a.bid = nil }, invalid, "not this worker's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.start()
				defer b.stop()
				a := b.prepare(requesterKey, "exit 0")
				c.change(a)
				time.Sleep(a.wait)
				d := b.award(requesterKey, a.request()).GetRefused()
				if d == nil || d.Reason != c.reason || !strings.Contains(d.Text, c.text) {
					t.Errorf("got %v; want %s naming %q", d, c.reason, c.text)
				}
				if b.free() != 2 || len(b.journal.Records()) != 0 {
					t.Errorf("%d devices free, journal %v; a refused award leaves no trace", b.free(), b.journal.Kinds())
				}
			})
		})
	}
}

func TestSignatureSpecBytesAndSenderOfAnAwardMustFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		good := b.prepare(requesterKey, "exit 0").request()
		other := proto.CloneOf(good)
		other.Spec = append(other.Spec, 0x08, 0x01) // version again: the same message, other bytes
		if d := b.award(requesterKey, other).GetRefused(); d == nil || !strings.Contains(d.Text, "spec digest") {
			t.Errorf("other spec bytes: %v", d)
		}
		if d := b.award(strangerKey, good).GetRefused(); d == nil || !strings.Contains(d.Text, "terms") {
			t.Errorf("brought by a stranger: %v", d)
		}
		broken := proto.CloneOf(good)
		broken.Terms.Signature[0] ^= 1
		if d := b.award(requesterKey, broken).GetRefused(); d == nil || !strings.Contains(d.Text, "terms") {
			t.Errorf("broken signature: %v", d)
		}
		broken = proto.CloneOf(good)
		broken.Terms = nil
		if d := b.award(requesterKey, broken).GetRefused(); d == nil {
			t.Error("no terms: not refused")
		}
	})
}

func TestDevicesAreReservedAtTheAwardAndFreedWhenItNeverBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		a := b.prepare(requesterKey, "exit 0")
		if b.free() != 2 {
			t.Fatal("a bid reserves nothing")
		}
		b.lease(a.request())
		if b.free() != 1 {
			t.Errorf("%d devices free after the award", b.free())
		}
		time.Sleep(2 * time.Minute) // start_by passes
		if b.free() != 2 || b.Live() != 0 || len(b.Leases()) != 0 {
			t.Errorf("%d devices free, %d leases live; want all given back", b.free(), b.Live())
		}
		if b.kept.last() != nil {
			t.Error("a receipt of a lease that never began")
		}
	})
}

func TestTheSameAwardGetsTheSameCountersignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		req := b.prepare(requesterKey, "exit 0").request()
		first := b.award(requesterKey, req)
		time.Sleep(40 * time.Second) // the bid has expired since
		again := b.award(requesterKey, req)
		if !proto.Equal(first, again) || first.GetCountersigned() == nil {
			t.Errorf("first %v, then %v", first, again)
		}
		b.stop()
		b.start() // and after a restart
		if again := b.award(requesterKey, req); !proto.Equal(first, again) {
			t.Errorf("first %v, after a restart %v", first, again)
		}
		if n := len(b.journal.Records()); n != 1 {
			t.Errorf("%d records; want the one award", n)
		}
		if b.free() != 1 {
			t.Errorf("%d devices free", b.free())
		}
		b.stop()
	})
}

func TestABidIsTakenUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		a := b.prepare(requesterKey, "exit 0")
		first := a.request()
		l, id := b.lease(first)
		gone := func(when string) {
			t.Helper()
			a.terms.RequesterNonce = append([]byte{a.terms.RequesterNonce[0] + 1}, a.terms.RequesterNonce[1:]...)
			if d := b.award(requesterKey, a.request()).GetRefused(); d.GetReason() != marketv1.DeclineReason_DECLINE_REASON_GONE {
				t.Errorf("%s: %v; want gone", when, d)
			}
		}
		gone("a second award of the bid")
		// Run to its end within the life of the bid, and forgotten.
		s := sessiontest.Requester(l, &sessiontest.Journal{})
		go func() { _ = s.Run(t.Context()) }()
		b.connect(s, id)
		<-s.Done()
		time.Sleep(time.Second)
		if len(b.Leases()) != 0 {
			t.Fatalf("leases %v", b.Leases())
		}
		gone("after the lease was forgotten")
		b.stop()
		b.start()
		if d := b.award(requesterKey, first).GetRefused(); d.GetReason() != marketv1.DeclineReason_DECLINE_REASON_GONE {
			t.Errorf("the first award again after a restart: %v; want gone", d)
		}
		b.stop()
	})
}

func TestTwoBidsForOneDeviceMakeOneLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		// Two devices: bids made at once name different ones while there are.
		one, other, two := b.prepare(requesterKey, "exit 0"), b.prepare(strangerKey, "exit 0"), b.prepare(strangerKey, "exit 0")
		if bytes.Equal(one.terms.GpuTags[0], other.terms.GpuTags[0]) {
			t.Errorf("two bids at once name one device although there are two")
		}
		b.lease(one.request())
		if d := b.award(strangerKey, two.request()).GetRefused(); d.GetReason() != marketv1.DeclineReason_DECLINE_REASON_GONE {
			t.Errorf("%v; want gone", d)
		}
	})
}

func TestADrainingWorkerTakesNoAward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		a := b.prepare(requesterKey, "exit 0")
		b.Drain(true)
		if d := b.award(requesterKey, a.request()).GetRefused(); d.GetReason() != marketv1.DeclineReason_DECLINE_REASON_DRAINING {
			t.Errorf("%v; want draining", d)
		}
	})
}

func TestAWorkerWithoutRoomOnItsDiskNeitherBidsNorTakesAnAward(t *testing.T) {
	const full = marketv1.DeclineReason_DECLINE_REASON_FULL
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		room := uint64(1 << 40) // more than there was when the machine was measured
		b.room = func() uint64 { return room }
		b.start()
		defer b.stop()
		a := b.prepare(requesterKey, "exit 0")
		for _, room = range []uint64{job.LeastDisk - 1, 0} {
			if answer, err := b.Ask(b.announce(requesterKey, b.spec())); answer.GetDecline().GetReason() != full {
				t.Errorf("asked with room for %d bytes: %v, %v; want full", room, answer, err)
			}
			if d := b.award(requesterKey, a.request()).GetRefused(); d.GetReason() != full {
				t.Errorf("awarded with room for %d bytes: %v; want full", room, d)
			}
		}
		room = job.LeastDisk
		b.lease(a.request())
		b.clear()
	})
}

func TestOffersAreNumberedUpwardsOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		var last uint64
		next := func() {
			t.Helper()
			signed, err := b.Offer()
			if err != nil {
				t.Fatal(err)
			}
			v, err := statement.OpenOffer(signed)
			if err != nil {
				t.Fatal(err)
			}
			if n := v.Message().Sequence; n <= last {
				t.Errorf("offer %d after %d", n, last)
			} else {
				last = n
			}
		}
		next()
		next() // at the same moment
		b.stop()
		time.Sleep(time.Millisecond)
		b.start()
		next()
		b.stop()
	})
}

func TestAnAnnouncementIsAnsweredOnlyToItsAuthor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		if err := b.Hear(t.Context(), b.announce(requesterKey, b.spec("exit 0"))); err != nil {
			t.Error(err)
		}
		if err := b.Hear(t.Context(), b.announce(strangerKey, b.spec("exit 0"))); err == nil {
			t.Error("a stranger's announcement with the requester's addresses was answered")
		}
		if n := len(b.peers.answered); n != 1 || b.peers.answered[0].GetBid() == nil {
			t.Errorf("answers %v", b.peers.answered)
		}
	})
}
