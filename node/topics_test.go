package node

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/p2p/gossip"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

var now = time.UnixMilli(1_800_000_000_000)

func announcement(t *testing.T, author string, change func(*marketv1.Announcement)) []byte {
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
	signed, err := statement.Sign(key, statement.TypeAnnouncement, a)
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(signed)
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
		{"a foreign network", announcement(t, "author", func(a *marketv1.Announcement) { a.Network = "other" }), gossip.Reject},
		{"nonsense", announcement(t, "author", func(a *marketv1.Announcement) { a.Gpu = nil }), gossip.Reject},
		{"signed by another", announcement(t, "author", func(a *marketv1.Announcement) {
			a.Requester = sessiontest.Public(sessiontest.Key("another"))
		}), gossip.Reject},
		{"expired", announcement(t, "author", func(a *marketv1.Announcement) {
			a.IssuedMs, a.ExpiresMs = now.Add(-2*time.Minute).UnixMilli(), now.Add(-time.Minute).UnixMilli()
		}), gossip.Ignore},
		{"from the future", announcement(t, "author", func(a *marketv1.Announcement) {
			a.IssuedMs, a.ExpiresMs = now.Add(20*time.Minute).UnixMilli(), now.Add(21*time.Minute).UnixMilli()
		}), gossip.Ignore},
	} {
		topics := newTopics(nil, "test", func() time.Time { return now }, slog.New(slog.DiscardHandler))
		if got := topics.validate("forwarder", c.data); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestOneAuthorsStormIsNotPassedOn(t *testing.T) {
	at := now
	topics := newTopics(nil, "test", func() time.Time { return at }, slog.New(slog.DiscardHandler))
	accepted := 0
	for n := range 100 {
		a := announcement(t, "loud", func(a *marketv1.Announcement) { a.Sequence = uint64(n + 1) })
		switch topics.validate("forwarder", a) {
		case gossip.Accept:
			accepted++
		case gossip.Reject:
			t.Fatal("an honest forwarder is punished")
		}
	}
	if accepted != authorBurst {
		t.Errorf("%d passed on at once, want %d", accepted, authorBurst)
	}
	if v := topics.validate("forwarder", announcement(t, "quiet", nil)); v != gossip.Accept {
		t.Errorf("somebody else's is not passed on: %v", v)
	}
	at = at.Add(2 * time.Second)
	if v := topics.validate("forwarder", announcement(t, "loud", nil)); v != gossip.Accept {
		t.Errorf("after a pause: %v", v)
	}
}
