package announce

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/p2p/gossip"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

var now = time.UnixMilli(1_800_000_000_000)

func board(at *time.Time) *Board {
	return New(Config{Network: "test", Now: func() time.Time { return *at }})
}

func announcement(t testing.TB, author string, change func(*marketv1.Announcement)) []byte {
	t.Helper()
	return signedAs(t, author, statement.TypeAnnouncement, change)
}

// signedAs is an announcement, or what says that it is something else.
func signedAs(t testing.TB, author string, as statement.Type, change func(*marketv1.Announcement)) []byte {
	t.Helper()
	key := sessiontest.Key(author)
	a := &marketv1.Announcement{
		Version: 1, Network: "test", Requester: sessiontest.Public(key), JobId: make([]byte, 16), Sequence: 1,
		IssuedMs: now.UnixMilli(), ExpiresMs: now.Add(30 * time.Second).UnixMilli(),
		Gpu: &marketv1.Requirement{Count: 1}, ImageDigest: "sha256:" + strings.Repeat("0", 64), Platform: "linux/amd64",
		ImageBytes: 1, MaxPrice: 1, MaxDurationMs: time.Hour.Milliseconds(), PeerRecord: []byte("record"),
	}
	if change != nil {
		change(a)
	}
	payload, err := statement.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(statement.SignPayload(key, as, payload))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnAnnouncementIsJudgedBeforeItIsPassedOn(t *testing.T) {
	broken := announcement(t, "author", nil)
	broken[len(broken)-1] ^= 1
	for _, c := range []struct {
		name string
		data []byte
		want gossip.Verdict
	}{
		{"good", announcement(t, "author", nil), gossip.Accept},
		{"garbage", []byte("garbage"), gossip.Reject},
		{"empty", nil, gossip.Reject},
		{"a broken signature", broken, gossip.Reject},
		{"a later version", announcement(t, "author", func(a *marketv1.Announcement) { a.Version = 2 }), gossip.Ignore},
		{"a later type", signedAs(t, "author", "auction", nil), gossip.Ignore},
		{"a type that does not belong here", signedAs(t, "author", statement.TypeBid, nil), gossip.Reject},
		{"no version", announcement(t, "author", func(a *marketv1.Announcement) { a.Version = 0 }), gossip.Reject},
		{"a later and larger withdrawal", signedAs(t, "author", statement.TypeWithdrawal, func(a *marketv1.Announcement) {
			a.Version, a.ImageName = 2, strings.Repeat("a", 300)
		}), gossip.Ignore},
		{"no type", signedAs(t, "author", "", nil), gossip.Reject},
		{"a foreign network", announcement(t, "author", func(a *marketv1.Announcement) { a.Network = "other" }), gossip.Reject},
		{"nonsense", announcement(t, "author", func(a *marketv1.Announcement) { a.Gpu = nil }), gossip.Reject},
		{"signed by another", announcement(t, "author", func(a *marketv1.Announcement) {
			a.Requester = sessiontest.Public(sessiontest.Key("another"))
		}), gossip.Reject},
		{"too long a life", announcement(t, "author", func(a *marketv1.Announcement) {
			a.ExpiresMs = now.Add(10 * time.Minute).UnixMilli()
		}), gossip.Reject},
		{"expired", announcement(t, "author", func(a *marketv1.Announcement) {
			a.IssuedMs, a.ExpiresMs = now.Add(-2*time.Minute).UnixMilli(), now.Add(-time.Minute).UnixMilli()
		}), gossip.Ignore},
		{"from the future", announcement(t, "author", func(a *marketv1.Announcement) {
			a.IssuedMs, a.ExpiresMs = now.Add(20*time.Minute).UnixMilli(), now.Add(21*time.Minute).UnixMilli()
		}), gossip.Ignore},
	} {
		b := board(&now)
		if got := b.validate("topic", "forwarder", c.data); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestOneAuthorsStormIsNotPassedOn(t *testing.T) {
	at := now
	b := board(&at)
	accepted := 0
	for n := range 100 {
		a := announcement(t, "loud", func(a *marketv1.Announcement) { a.Sequence = uint64(n + 1) })
		switch b.validate("topic", "forwarder", a) {
		case gossip.Accept:
			accepted++
		case gossip.Reject:
			t.Fatal("an honest forwarder is punished")
		}
	}
	if accepted != authorBurst {
		t.Errorf("%d passed on at once, want %d", accepted, authorBurst)
	}
	if v := b.validate("topic", "forwarder", announcement(t, "quiet", nil)); v != gossip.Accept {
		t.Errorf("somebody else's is not passed on: %v", v)
	}
	at = at.Add(2 * time.Second)
	if v := b.validate("topic", "forwarder", announcement(t, "loud", func(a *marketv1.Announcement) { a.Sequence = 1000 })); v != gossip.Accept {
		t.Errorf("after a pause: %v", v)
	}
}

func TestWhatAPeerSaysItselfTooOftenIsHeldAgainstItAlone(t *testing.T) {
	b := board(&now)
	self := sessiontest.Peer(t, sessiontest.Key("loud"))
	verdicts := map[gossip.Verdict]int{}
	for n := range 100 {
		a := announcement(t, "loud", func(a *marketv1.Announcement) { a.Sequence = uint64(n + 1) })
		verdicts[b.validate("topic", self, a)]++
	}
	if verdicts[gossip.Accept] != authorBurst || verdicts[gossip.Waste] != 100-authorBurst {
		t.Errorf("verdicts %v", verdicts)
	}
}

func TestWhatAPeerBringsIsBoundedBeforeItIsLookedAt(t *testing.T) {
	b := board(&now)
	for range forwarderBurst {
		if v := b.validate("topic", "flood", []byte("garbage")); v != gossip.Reject {
			t.Fatalf("garbage is %v", v)
		}
	}
	if v := b.validate("topic", "flood", []byte("garbage")); v != gossip.Ignore {
		t.Errorf("beyond the rate it is %v; want it not looked at", v)
	}
	if v := b.validate("topic", "other", announcement(t, "author", nil)); v != gossip.Accept {
		t.Errorf("another peer's is %v", v)
	}
}

func withdrawal(t *testing.T, author string, of []byte) []byte {
	t.Helper()
	s, err := open(of)
	if err != nil {
		t.Fatal(err)
	}
	hash, key := s.announcement.Hash(), sessiontest.Key(author)
	signed, err := statement.Sign(key, statement.TypeWithdrawal, &marketv1.Withdrawal{
		Version: 1, Network: "test", Requester: sessiontest.Public(key), AnnouncementHash: hash[:], IssuedMs: now.UnixMilli(),
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOnlyItsAuthorWithdrawsAnAnnouncementAndOnlyOnce(t *testing.T) {
	b := board(&now)
	a := announcement(t, "author", nil)
	steps := []struct {
		name string
		data []byte
		want gossip.Verdict
	}{
		{"before it was heard", withdrawal(t, "author", a), gossip.Ignore},
		{"the announcement", a, gossip.Accept},
		{"by another", withdrawal(t, "another", a), gossip.Ignore},
		{"by its author", withdrawal(t, "author", a), gossip.Accept},
		{"again", withdrawal(t, "author", a), gossip.Ignore},
	}
	for _, s := range steps {
		if got := b.validate("topic", "forwarder", s.data); got != s.want {
			t.Errorf("%s: %v, want %v", s.name, got, s.want)
		}
	}
}

// Under a flood of many names an announcement passes with a stamp, and soon after the
// flood without one.
func TestAFloodOfManyNamesAsksForAProofOfWork(t *testing.T) {
	at := now
	b := board(&at)
	for range calm {
		b.demand.count(at)
	}
	if got := b.StampBits(); got != leastBits+margin {
		t.Fatalf("asks for %d bits", got)
	}
	fresh := func(stamp uint64) []byte {
		return announcement(t, "author", func(a *marketv1.Announcement) {
			a.Stamp = stamp
			a.IssuedMs, a.ExpiresMs = at.UnixMilli(), at.Add(30*time.Second).UnixMilli()
		})
	}
	if v := b.validate("topic", "forwarder", fresh(0)); v != gossip.Ignore {
		t.Errorf("without a stamp: %v", v)
	}
	for range 4 * calm {
		b.demand.count(at)
	}
	if got := b.demand.bits(at); got != leastBits+2 {
		t.Errorf("four times the flood asks for %d bits", got)
	}
	at = at.Add(2 * time.Minute)
	if v := b.validate("topic", "forwarder", fresh(0)); v != gossip.Accept || b.StampBits() != 0 {
		t.Errorf("after the flood: %v, and %d bits asked", v, b.StampBits())
	}
}

// Where a tier is split, one announcement is passed on in several topics, and counts once.
// The same one in another wrapping is not passed on again.
func TestAnAnnouncementIsPassedOnOnceInEachTopic(t *testing.T) {
	b := board(&now)
	for n := range authorBurst {
		a := announcement(t, "author", func(a *marketv1.Announcement) { a.Sequence = uint64(n + 1) })
		for _, topic := range []string{"jobs/24g/1/0", "jobs/24g/2/01"} {
			if v := b.validate(topic, "forwarder", a); v != gossip.Accept {
				t.Fatalf("announcement %d in %s: %v", n, topic, v)
			}
			wrapped := protowire.AppendVarint(protowire.AppendTag(bytes.Clone(a), 99, protowire.VarintType), 1)
			if v := b.validate(topic, "forwarder", wrapped); v != gossip.Ignore && v != gossip.Reject {
				t.Fatalf("announcement %d again in %s: %v", n, topic, v)
			}
		}
	}
	if v := b.validate("jobs/24g/1/0", "forwarder", announcement(t, "author", nil)); v == gossip.Accept {
		t.Error("one more than its author may say at once")
	}
}

// FuzzMessage: what a board says of a message before it verifies it is what it finds afterwards.
func FuzzMessage(f *testing.F) {
	f.Add(announcement(f, "anna", nil))
	f.Add(announcement(f, "anna", func(a *marketv1.Announcement) { a.Regions = []string{"eu"} }))
	f.Add([]byte{})
	key := sessiontest.Key("anna")
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = open(b)
		var signed marketv1.Signed
		if proto.Unmarshal(b, &signed) != nil {
			return
		}
		signed = marketv1.Signed{Type: signed.Type, Payload: signed.Payload, Signature: statement.SignPayload(key, statement.Type(signed.Type), signed.Payload).Signature}
		honest, err := proto.Marshal(&signed)
		if err != nil {
			return // a type that is no text
		}
		s, err := open(honest)
		if err != nil || s.announcement.Signed() == nil {
			return
		}
		if hash, author := claimed(&signed); hash != s.announcement.Hash() || !bytes.Equal(author, sessiontest.Public(key)) {
			t.Errorf("claimed %x of %x, and is %x", hash, author, s.announcement.Hash())
		}
	})
}
