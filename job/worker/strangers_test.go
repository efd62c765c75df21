package worker_test

import (
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// asks gives the text of the decline that a key gets when it asks for a bid, and
// nothing when it gets one.
func (b *bench) asks(key ed25519.PrivateKey) string {
	b.t.Helper()
	a, err := b.Ask(b.announce(key, b.spec("exit 0")))
	if err != nil {
		b.t.Fatal(err)
	}
	if d := a.GetDecline(); d != nil && d.Reason != marketv1.DeclineReason_DECLINE_REASON_LIMIT {
		b.t.Fatalf("declined: %v", d)
	}
	return a.GetDecline().GetText()
}

func TestAStrangerHasOneLeaseUntilItPays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.strangers.Leases = 1
		b.start()
		defer b.stop()
		second := b.prepare(requesterKey, "exit 0") // a bid of before the first lease
		s, _ := running(b, nil, "sleep 20s", "exit 0")
		if text := b.asks(requesterKey); !strings.Contains(text, "one lease at a time") {
			t.Errorf("asked for another bid: %q", text)
		}
		if d := b.award(requesterKey, second.request()).GetRefused(); d.GetReason() != marketv1.DeclineReason_DECLINE_REASON_LIMIT {
			t.Errorf("awarded another lease: %v", d)
		}
		if text := b.asks(strangerKey); text != "" {
			t.Errorf("somebody else is declined: %q", text)
		}
		time.Sleep(5 * time.Second) // some heartbeats are paid
		if text := b.asks(requesterKey); text != "" {
			t.Errorf("after it paid: %q", text)
		}
		<-s.Done()
		time.Sleep(time.Second)
		b.stop()
		b.start()
		two := []*attempt{b.prepare(requesterKey, "exit 0"), b.prepare(requesterKey, "exit 0")}
		for _, a := range two {
			a.terms.IntervalMs = 60_000
			a.terms.AbsentGraceMs = 60_000
			if d := b.award(requesterKey, a.request()).GetRefused(); d != nil {
				t.Errorf("a requester that paid, after a restart: %v", d)
			}
		}
	})
}

func TestStrangersOfOneBlockOfAddressesCountAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.strangers.Leases = 1
		one, other := netip.MustParsePrefix("8.8.4.0/24"), netip.MustParsePrefix("9.9.9.0/24")
		b.peers.origins = map[peer.ID][]netip.Prefix{sessiontest.Peer(t, requesterKey): {one, other}, sessiontest.Peer(t, strangerKey): {one}}
		b.start()
		defer b.stop()
		b.lease(b.prepare(requesterKey, "exit 0").request())
		if text := b.asks(strangerKey); !strings.Contains(text, "block of addresses") {
			t.Errorf("from the same block: %q", text)
		}
		if text := b.asks(sessiontest.Key("third")); text != "" {
			t.Errorf("from elsewhere: %q", text)
		}
	})
}

func TestAStrangersFirstIntervalsAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		a := b.prepare(requesterKey, "exit 0")
		a.terms.IntervalMs, a.terms.AbsentGraceMs = 60_000, 60_000
		if d := b.award(requesterKey, a.request()).GetRefused(); d.GetReason() != marketv1.DeclineReason_DECLINE_REASON_LIMIT || !strings.Contains(d.Text, "first_interval_ms") {
			t.Errorf("a minute between heartbeats: %v", d)
		}
		a.terms.FirstIntervalMs = 5000
		if d := b.award(requesterKey, a.request()).GetRefused(); d != nil {
			t.Errorf("five seconds at first: %v", d)
		}
	})
}

// TestFreeKeysCannotEatACard has a new key each time take a device and never
// challenge.
func TestFreeKeysCannotEatACard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.strangers = market.Strangers{Leases: 1, Budget: 5 * time.Minute}
		b.start()
		defer b.stop()
		taken, key := 0, 0
		next := func() ed25519.PrivateKey { key++; return sessiontest.Key(fmt.Sprint("free ", key)) }
		for range 20 {
			k := next()
			if text := b.asks(k); text != "" {
				if !strings.Contains(text, "today's 5m0s") {
					t.Errorf("declined: %q", text)
				}
				break
			}
			if b.award(k, b.prepare(k, "exit 0").request()).GetCountersigned() == nil {
				t.Fatal("refused after a bid")
			}
			taken++
			time.Sleep(2 * time.Minute) // the lease is refused after one
		}
		if taken != 5 {
			t.Errorf("free keys had the device %d times for a minute; the budget is five minutes", taken)
		}
		b.stop()
		b.start()
		if text := b.asks(next()); !strings.Contains(text, "today's") {
			t.Errorf("after a restart: %q", text)
		}
		time.Sleep(24 * time.Hour)
		if text := b.asks(next()); text != "" {
			t.Errorf("a day later: %q", text)
		}
	})
}

func TestAStrangerWhoseImageNeverComesHasDevicesForTheBudgetAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.strangers = market.Strangers{Leases: 1, Budget: 5 * time.Minute}
		b.peers.set(true)
		b.start()
		defer b.stop()
		both := b.spec("exit 0")
		both.Gpu.Count = 2
		s, _ := b.take(b.bidFor(requesterKey, both))
		time.Sleep(4 * time.Minute)
		if b.free() != 0 {
			t.Errorf("%d devices free; two of them do not take less time to begin", b.free())
		}
		time.Sleep(2 * time.Minute)
		if b.free() != 2 {
			t.Fatalf("%d devices free; nothing was ever paid", b.free())
		}
		<-s.Done()
		if r := s.Lease().Receipt(); r.GetClose() == nil {
			t.Error("it was not closed")
		}
		for _, who := range []ed25519.PrivateKey{requesterKey, strangerKey} {
			if text := b.asks(who); !strings.Contains(text, "today's 5m0s") {
				t.Errorf("afterwards: %q", text)
			}
		}
	})
}

func TestWhoClosesALeaseOfNothingStaysWhatItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.strangers.Leases = 1
		b.start()
		defer b.stop()
		long := func() string {
			a := b.prepare(requesterKey, "exit 0")
			a.terms.IntervalMs, a.terms.AbsentGraceMs = 60_000, 60_000
			resp := b.award(requesterKey, a.request())
			time.Sleep(2 * time.Minute) // it is over, and nobody came
			return resp.GetRefused().GetText()
		}
		served := func(script string, paid bool) {
			s, _ := running(b, nil, script)
			<-s.Done()
			if got := s.Lease().CreditMS() > 0; got != paid {
				t.Fatalf("%q was paid for: %t", script, got)
			}
			time.Sleep(time.Second)
		}
		served("exit 0", false)
		if text := long(); !strings.Contains(text, "new here") {
			t.Errorf("after a lease of nothing: %q", text)
		}
		served("sleep 5s", true)
		served("exit 0", false)
		if text := long(); text != "" {
			t.Errorf("after one that it paid and one of nothing: %q", text)
		}
	})
}
