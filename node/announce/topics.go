package announce

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p/discovery"
	"github.com/rigmesh/rigmesh/p2p/gossip"
)

// PerTopic is about how many members a topic is to have. Each passes on, and so
// receives, whatever any of them says.
const PerTopic = 8192

// stay is how long a topic is not left after something was said in it: who leaves at
// once is no longer there to pass it on, and who says more would have to join again.
const stay = 10 * time.Minute

// class is a tier as something that is split; see discovery.Spread.
func class(tier string) string { return "jobs/" + tier }

func (b *Board) spread() discovery.Spread {
	if b.Spread == nil {
		return discovery.Spread{}
	}
	return b.Spread()
}

// membership is a joined topic, and how many want it to be.
type membership struct {
	*gossip.Topic
	users int
}

// join enters a topic, once however many want it; each leaves it again.
func (b *Board) join(topic string) (*membership, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.joined[topic]
	if m == nil {
		decide := func(from peer.ID, data []byte) gossip.Verdict { return b.decide(topic, from, data) }
		t, err := b.Router.Join(topic, gossip.TopicConfig{Validate: decide, MaxSize: MaxSize})
		if err != nil {
			return nil, fmt.Errorf("join topic %s: %w", topic, err)
		}
		m = &membership{Topic: t}
		b.joined[topic] = m
	}
	m.users++
	return m, nil
}

func (b *Board) leave(topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.joined[topic]
	if m.users--; m.users > 0 {
		return
	}
	delete(b.joined, topic)
	_ = m.Leave() // fails only when the host is closed
}

func (b *Board) leaveSoon(topic string) { time.AfterFunc(stay, func() { b.leave(topic) }) }
