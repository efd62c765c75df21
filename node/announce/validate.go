package announce

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/p2p/gossip"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	// What is remembered is bounded: so many of each, the newest.
	maxAuthors, maxForwarders, maxKnown = 4096, 1024, 8192

	// authorRate and authorBurst are how many announcements of one requester are
	// passed on: one a second, and twenty at once.
	authorRate  = rate.Limit(1)
	authorBurst = 20

	// forwarderRate and forwarderBurst bound what one peer may bring before
	// anything of it is looked at. A check of a signature takes some 50 µs.
	forwarderRate  = rate.Limit(200)
	forwarderBurst = 400

	// maxLife is the longest that an announcement on gossip may live: as long as
	// routers remember what they have passed on, so that none comes twice.
	maxLife = 2 * time.Minute
)

// said is one message of a topic: an announcement, or a withdrawal.
type said struct {
	announcement Announcement
	withdrawal   Withdrawal
}

// open verifies a message.
func open(data []byte) (said, error) {
	var signed marketv1.Signed
	if err := proto.Unmarshal(data, &signed); err != nil {
		return said{}, err
	}
	return verify(&signed)
}

func verify(signed *marketv1.Signed) (said, error) {
	if statement.Type(signed.Type) == statement.TypeWithdrawal {
		w, err := statement.OpenWithdrawal(signed)
		if err != nil {
			return said{}, err
		}
		return said{withdrawal: w}, job.CheckWithdrawal(w.Message())
	}
	a, err := statement.OpenAnnouncement(signed)
	if err != nil {
		return said{}, err
	}
	m := a.Message()
	if life := m.ExpiresMs - m.IssuedMs; life > maxLife.Milliseconds() {
		return said{}, fmt.Errorf("it lives for %d ms, at most %s on gossip", life, maxLife)
	}
	return said{announcement: a}, job.CheckAnnouncement(m)
}

// later says whether a message is of a type or version that comes after this one's. Whoever
// passes it on may know it well.
func later(signed *marketv1.Signed) bool {
	t := statement.Type(signed.Type)
	if t != "" && t.MaxSize() == 0 {
		return true
	}
	var first marketv1.Withdrawal // any payload: its version is the first field
	return proto.Unmarshal(signed.Payload, &first) == nil && first.Version > statement.Version
}

// claimed is the announcement that a message is, and the author that it names, before
// anything is verified.
func claimed(signed *marketv1.Signed) (statement.Hash, []byte) {
	var a marketv1.Announcement
	if statement.Type(signed.Type) != statement.TypeAnnouncement ||
		len(signed.Payload) > statement.TypeAnnouncement.MaxSize() || proto.Unmarshal(signed.Payload, &a) != nil {
		return statement.Hash{}, nil
	}
	return statement.HashPayload(signed.Type, signed.Payload), a.Requester
}

// validate decides before anything is passed on, the cheapest questions first.
func (b *Board) validate(topic string, from peer.ID, data []byte) gossip.Verdict {
	now := b.Now()
	if !b.allowance(from).AllowN(now, 1) {
		return gossip.Ignore
	}
	var signed marketv1.Signed
	if proto.Unmarshal(data, &signed) != nil {
		return gossip.Reject
	}
	if later(&signed) {
		return gossip.Ignore
	}
	if hash, key := claimed(&signed); key != nil && !b.counted.Contains(hash) && b.limit(key).TokensAt(now) < 1 {
		return b.tooOften(from, key)
	}
	s, err := verify(&signed)
	if err != nil {
		return gossip.Reject
	}
	if s.withdrawal.Signed() != nil {
		return b.judgeWithdrawal(topic, s.withdrawal)
	}
	return b.judge(now, topic, from, s.announcement)
}

// judge decides on an announcement whose signature is good.
func (b *Board) judge(now time.Time, topic string, from peer.ID, a Announcement) gossip.Verdict {
	m := a.Message()
	if m.Network != b.Network {
		return gossip.Reject
	}
	if job.CheckFresh(now, m.IssuedMs, m.ExpiresMs) != nil {
		return gossip.Ignore
	}
	if !b.counted.Contains(a.Hash()) {
		if !b.limit(m.Requester).AllowN(now, 1) {
			return b.tooOften(from, m.Requester)
		}
		if market.StampBits(a.Hash()) < b.demand.bits(now) {
			return gossip.Ignore
		}
		b.demand.count(now)
		b.counted.Add(a.Hash(), struct{}{})
	}
	if had, _ := b.known.ContainsOrAdd(place{topic, a.Hash()}, string(m.Requester)); had {
		return gossip.Ignore // the same in another wrapping: routers know what they passed on by its bytes
	}
	return gossip.Accept
}

// judgeWithdrawal passes on one withdrawal of each announcement that was heard
// before, so that there are never more of them than announcements.
func (b *Board) judgeWithdrawal(topic string, w Withdrawal) gossip.Verdict {
	m := w.Message()
	if m.Network != b.Network {
		return gossip.Reject
	}
	at := place{topic, statement.Hash(m.AnnouncementHash)}
	if author, ok := b.known.Peek(at); !ok || author != string(m.Requester) {
		return gossip.Ignore
	}
	b.known.Add(at, "")
	return gossip.Accept
}

// tooOften counts against a peer only what it says itself.
func (b *Board) tooOften(from peer.ID, author []byte) gossip.Verdict {
	if id, err := job.PeerID(author); err == nil && id == from {
		return gossip.Waste
	}
	return gossip.Ignore
}

func (b *Board) limit(author []byte) *rate.Limiter {
	return limiter(b.authors, string(author), authorRate, authorBurst)
}

func (b *Board) allowance(from peer.ID) *rate.Limiter {
	return limiter(b.forwarders, from, forwarderRate, forwarderBurst)
}
