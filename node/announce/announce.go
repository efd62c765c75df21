// Package announce is a node's part in telling everybody of jobs: which gossip
// topics there are, what may be said in them, and how much of it.
//
// A node that hears an announcement checks it before it passes it on. What is wrong
// for ever is rejected, which costs whoever sent it; what is merely late, too often or of a
// later version is ignored, because an honest forwarder cannot know; and what a peer says
// itself too often is counted as wasted, against it alone.
package announce

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/p2p/discovery"
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
	// Self is this node; its id says which shard of a tier it stands in.
	Self peer.ID
	// Spread is how finely a tier is split, by the size of the network as it is
	// estimated now; nil: not at all.
	Spread func() discovery.Spread
	// Judge, when given, has the last word on every message; lawful is what the rules
	// say. Simulated attackers have words of their own.
	Judge func(from peer.ID, data []byte, lawful func() gossip.Verdict) gossip.Verdict
}

// Board is the announcements this node hears and makes.
type Board struct {
	Config
	authors    *lru.Cache[string, *rate.Limiter]    // by key: what each may say
	forwarders *lru.Cache[peer.ID, *rate.Limiter]   // what each may bring
	known      *lru.Cache[place, string]            // announcements heard, and by whom; empty once withdrawn
	counted    *lru.Cache[statement.Hash, struct{}] // those that were held against their authors' rates
	handed     *lru.Cache[statement.Hash, struct{}] // and those that a listener was told of
	told       *lru.Cache[statement.Hash, []string] // our own, and the topics they went to
	demand     demand

	mu     sync.Mutex
	joined map[string]*membership
}

// New makes a board. It joins no topic yet.
func New(c Config) *Board {
	return &Board{
		Config: c, joined: map[string]*membership{}, told: cache[statement.Hash, []string](maxTold),
		authors: cache[string, *rate.Limiter](maxAuthors), forwarders: cache[peer.ID, *rate.Limiter](maxForwarders),
		known: cache[place, string](maxKnown), counted: cache[statement.Hash, struct{}](maxKnown), handed: cache[statement.Hash, struct{}](maxKnown),
	}
}

func cache[K comparable, V any](size int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](size)
	if err != nil {
		panic(err) // only a size below one
	}
	return c
}

// place is an announcement in one topic. Where a tier is split the same one may be in
// several, and is passed on in each.
type place struct {
	topic string
	hash  statement.Hash
}

func (b *Board) decide(topic string, from peer.ID, data []byte) gossip.Verdict {
	if b.Judge == nil {
		return b.validate(topic, from, data)
	}
	return b.Judge(from, data, func() gossip.Verdict { return b.validate(topic, from, data) })
}
