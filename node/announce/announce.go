// Package announce is a node's part in telling everybody of jobs: which gossip
// topics there are, what may be said in them, and how much of it.
//
// A node that hears an announcement checks it before it passes it on. What is wrong
// for ever is rejected, which costs whoever sent it; what is merely late or too often
// is ignored, because an honest forwarder cannot know; and what a peer says itself too
// often is counted as wasted, against it alone.
package announce

import (
	"context"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/p2p/gossip"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// MaxSize is the most that an announcement takes on gossip, in bytes.
const MaxSize = 1 << 10

// Announcement is a verified announcement.
type Announcement = statement.Verified[*marketv1.Announcement]

// Withdrawal is a verified withdrawal.
type Withdrawal = statement.Verified[*marketv1.Withdrawal]

// Config says what a board needs.
type Config struct {
	Router  *gossip.Router
	Network string
	Now     func() time.Time
	// Judge, when given, has the last word on every message; lawful is what the rules
	// say. Simulated attackers have words of their own.
	Judge func(from peer.ID, data []byte, lawful func() gossip.Verdict) gossip.Verdict
}

// Board is the announcements this node hears and makes.
type Board struct {
	Config
	authors    *lru.Cache[string, *rate.Limiter]  // by key: what each may say
	forwarders *lru.Cache[peer.ID, *rate.Limiter] // what each may bring
	known      *lru.Cache[statement.Hash, string] // announcements heard, and by whom; empty once withdrawn
	demand     demand

	mu     sync.Mutex
	joined map[string]*gossip.Topic
}

// New makes a board. It joins no topic yet.
func New(c Config) *Board {
	return &Board{
		Config: c, joined: map[string]*gossip.Topic{},
		authors: cache[string, *rate.Limiter](maxAuthors), forwarders: cache[peer.ID, *rate.Limiter](maxForwarders),
		known: cache[statement.Hash, string](maxKnown),
	}
}

func cache[K comparable, V any](size int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](size)
	if err != nil {
		panic(err) // only a size below one
	}
	return c
}

// topicOf is the gossip topic of a tier. The zero is the number of prefix bits of
// the peer id that split a tier's topic, once a network is large enough to need it.
func topicOf(tier string) string { return "jobs/" + tier + "/0" }

// join enters a tier's topic once.
func (b *Board) join(tier string) (*gossip.Topic, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if topic := b.joined[tier]; topic != nil {
		return topic, nil
	}
	topic, err := b.Router.Join(topicOf(tier), gossip.TopicConfig{Validate: b.decide, MaxSize: MaxSize})
	if err != nil {
		return nil, fmt.Errorf("join topic %s: %w", topicOf(tier), err)
	}
	b.joined[tier] = topic
	return topic, nil
}

func (b *Board) decide(from peer.ID, data []byte) gossip.Verdict {
	if b.Judge == nil {
		return b.validate(from, data)
	}
	return b.Judge(from, data, func() gossip.Verdict { return b.validate(from, data) })
}

// Publish tells a tier of an announcement or a withdrawal.
func (b *Board) Publish(ctx context.Context, tier string, said *marketv1.Signed) error {
	topic, err := b.join(tier)
	if err != nil {
		return err
	}
	data, err := proto.Marshal(said)
	if err != nil {
		return err
	}
	return topic.Publish(ctx, data)
}

// Listener is told what a topic says. Its methods return at once.
type Listener interface {
	// Announced takes an announcement.
	Announced(Announcement)
	// Withdrawn takes a withdrawal of one heard before.
	Withdrawn(Withdrawal)
}

// Hear hands everything said in a tier to a listener until ctx ends.
func (b *Board) Hear(ctx context.Context, tier string, to Listener) error {
	topic, err := b.join(tier)
	if err != nil {
		return err
	}
	for {
		m, err := topic.Next(ctx)
		if err != nil {
			return nil // the node is stopping
		}
		switch said, err := open(m.Data); {
		case err != nil:
		case said.withdrawal.Signed() != nil:
			to.Withdrawn(said.withdrawal)
		default:
			to.Announced(said.announcement)
		}
	}
}

// Members is how many members of a tier's topic this node is connected to.
func (b *Board) Members(tier string) int {
	b.mu.Lock()
	topic := b.joined[tier]
	b.mu.Unlock()
	if topic == nil {
		return 0
	}
	return topic.Peers()
}
