package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/p2p/gossip"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	// maxAnnouncement is the most an announcement takes on gossip, in bytes.
	maxAnnouncement = 3 << 10
	// authors bounds how many requesters' rates are remembered.
	authors = 4096
	// authorRate and authorBurst are how many announcements of one requester are
	// passed on: one a second, and twenty at once.
	authorRate  = rate.Limit(1)
	authorBurst = 20
)

// topicOf is the gossip topic of a tier. The zero is the number of prefix bits of
// the peer id that split a tier's topic, once a network is large enough to need it.
func topicOf(tier string) string { return "jobs/" + tier + "/0" }

// topics are the announcements this node hears and makes.
type topics struct {
	router  *gossip.Router
	network string
	now     func() time.Time
	log     *slog.Logger
	heard   *lru.Cache[string, *rate.Limiter] // by author

	mu     sync.Mutex
	joined map[string]*gossip.Topic
}

func newTopics(r *gossip.Router, network string, now func() time.Time, log *slog.Logger) *topics {
	heard, err := lru.New[string, *rate.Limiter](authors)
	if err != nil {
		panic(err) // only a size below one
	}
	return &topics{router: r, network: network, now: now, log: log, heard: heard, joined: map[string]*gossip.Topic{}}
}

// join enters a tier's topic once.
func (t *topics) join(tier string) (*gossip.Topic, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if topic := t.joined[tier]; topic != nil {
		return topic, nil
	}
	topic, err := t.router.Join(topicOf(tier), gossip.TopicConfig{Validate: t.validate, MaxSize: maxAnnouncement})
	if err != nil {
		return nil, fmt.Errorf("join topic %s: %w", topicOf(tier), err)
	}
	t.joined[tier] = topic
	return topic, nil
}

// publish announces to a tier.
func (t *topics) publish(ctx context.Context, tier string, ann *marketv1.Signed) error {
	topic, err := t.join(tier)
	if err != nil {
		return err
	}
	b, err := proto.Marshal(ann)
	if err != nil {
		return err
	}
	return topic.Publish(ctx, b)
}

// hear hands every announcement of a tier to fn until ctx ends.
func (t *topics) hear(ctx context.Context, tier string, fn func(worker.Announcement)) error {
	topic, err := t.join(tier)
	if err != nil {
		return err
	}
	for {
		m, err := topic.Next(ctx)
		if err != nil {
			return nil // the node is stopping
		}
		if ann, err := t.open(m.Data); err == nil {
			fn(ann)
		}
	}
}

// open verifies an announcement.
func (t *topics) open(data []byte) (worker.Announcement, error) {
	var signed marketv1.Signed
	if err := proto.Unmarshal(data, &signed); err != nil {
		return worker.Announcement{}, err
	}
	ann, err := statement.OpenAnnouncement(&signed)
	if err != nil {
		return worker.Announcement{}, err
	}
	return ann, job.CheckAnnouncement(ann.Message())
}

// validate decides before anything is passed on. What is wrong for ever is
// rejected, which costs whoever sent it; what is merely late or too often is
// ignored, because an honest forwarder cannot know.
func (t *topics) validate(_ peer.ID, data []byte) gossip.Verdict {
	ann, err := t.open(data)
	if err != nil || ann.Message().Network != t.network {
		return gossip.Reject
	}
	m := ann.Message()
	if err := job.CheckFresh(t.now(), m.IssuedMs, m.ExpiresMs); err != nil {
		return gossip.Ignore
	}
	author := string(m.Requester)
	limit, ok := t.heard.Get(author)
	if !ok {
		limit = rate.NewLimiter(authorRate, authorBurst)
		t.heard.Add(author, limit)
	}
	if !limit.AllowN(t.now(), 1) {
		return gossip.Ignore
	}
	return gossip.Accept
}
