// Package gossip spreads small messages to everybody who joined a topic.
//
// A message is checked before it is passed on, so junk dies at the first honest
// node. Messages carry no sender of their own: what they say is signed inside,
// and the peer a message came from merely forwarded it.
package gossip

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/p2p/discovery/backoff"

	"github.com/rigmesh/rigmesh/p2p"
)

// maxRPC bounds what is read from a peer at once: several messages and control
// data in one envelope.
const maxRPC = 256 << 10

// Config tunes a Router. The zero value is good.
type Config struct {
	// SeenTTL is how long a message is remembered, so that it is delivered and
	// passed on once. 0 means two minutes.
	SeenTTL time.Duration
	// Rendezvous, when given, finds members of a topic that has too few of them
	// among our connections, such as a discovery.Discovery.
	Rendezvous discovery.Discovery
}

// Router is a host's part in gossip. There is one for each host.
type Router struct {
	ps    *pubsub.PubSub
	host  *p2p.Host
	waste *waste
}

func init() {
	// Gossip looks for members again and again while a topic has few of them, which in a small
	// network is for ever: first when a node has had the time to join its topics, then not
	// every second, which was a third of an idle node's work.
	pubsub.DiscoveryPollInitialDelay = 500 * time.Millisecond
	pubsub.DiscoveryPollInterval = 3 * time.Second
}

// New attaches gossip to a host. It ends with the host.
func New(h *p2p.Host, cfg Config) (*Router, error) {
	if cfg.SeenTTL == 0 {
		cfg.SeenTTL = 2 * time.Minute
	}
	wasted := newWaste()
	opts := []pubsub.Option{
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithMaxMessageSize(maxRPC),
		pubsub.WithSeenMessagesTTL(cfg.SeenTTL),
		// An announcement reaches every member we know in one hop, before any
		// mesh has formed.
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerScore(scores(wasted.score)),
		pubsub.WithGossipSubParams(mesh()),
	}
	if cfg.Rendezvous != nil {
		// Each look is a walk through the DHT.
		rested, err := backoff.NewBackoffDiscovery(cfg.Rendezvous,
			backoff.NewExponentialDecorrelatedJitter(time.Second, time.Minute, 3, rand.NewSource(time.Now().UnixNano())))
		if err != nil {
			return nil, fmt.Errorf("start gossip: %w", err)
		}
		opts = append(opts, pubsub.WithDiscovery(rested))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ps, err := pubsub.NewGossipSub(ctx, h.Libp2p(), opts...)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	h.OnClose(cancel)
	return &Router{ps: ps, host: h, waste: wasted}, nil
}

// mesh is how we keep our neighbours in a topic. Whoever is surrounded by members that
// swallow everything depends on the few who do not. Those turned it away when they had
// gossipsub's twelve neighbours, and it heard seconds late or never. Room for twenty costs
// a quarter more bytes: docs/scale.md.
func mesh() pubsub.GossipSubParams {
	params := pubsub.DefaultGossipSubParams()
	params.Dhi = 20
	return params
}

// messageID names a message by its topic and content: the same announcement in
// two topics is two messages, or the second topic would never see it.
func messageID(m *pb.Message) string {
	h := sha256.New()
	topic := m.GetTopic()
	_ = binary.Write(h, binary.BigEndian, uint32(len(topic)))
	h.Write([]byte(topic))
	h.Write(m.GetData())
	return string(h.Sum(nil))
}
