//go:build linux

package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/gossip"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	// friends is how many others each host dials.
	friends = 6
	// announcements is how many messages are timed.
	announcements = 50
	// announceEvery is the pause between two.
	announceEvery = 40 * time.Millisecond
)

// gossiped measures how long an announcement takes to all who subscribed, every one
// of whom checks its signature before passing it on.
func (b *bench) gossiped(ctx context.Context) (section, error) {
	progress("%d announcements to %d subscribers", announcements, b.nodes)
	g, err := newGossips(ctx, b.nodes)
	defer g.close()
	if err != nil {
		return section{}, fmt.Errorf("gossip: %w", err)
	}
	if err := rest(ctx, 3*time.Second); err != nil { // meshes form at heartbeats of a second
		return section{}, err
	}
	if err := g.announce(ctx); err != nil {
		return section{}, err
	}
	wanted := announcements * (b.nodes - 1)
	goal := limit{}
	if b.nodes >= 200 {
		goal = atMost(150, "≤ 150 ms")
	}
	p99 := plain("… the 99th percentile", samples{g.took.at(0.99)}, "ms", goal)
	return section{
		title: "Gossip",
		notes: fmt.Sprintf("%d nodes in one process on loopback, each dials %d others. The goal is for 200 nodes: `bench -nodes 200`.", b.nodes, friends),
		rows: []row{
			plain("announcement to a subscriber", g.took, "ms", limit{}),
			p99,
			{
				what: "delivered", goal: "all", measured: fmt.Sprintf("%d of %d", len(g.took), wanted),
				missed: len(g.took) < wanted,
			},
		},
	}, nil
}

// gossips are hosts that all heard of one topic.
type gossips struct {
	hosts  []*p2p.Host
	keys   []ed25519.PrivateKey
	topics []*gossip.Topic
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	sent map[uint64]time.Time // by sequence
	took samples
}

func newGossips(ctx context.Context, n int) (*gossips, error) {
	ctx, stop := context.WithCancel(ctx)
	g := &gossips{stop: stop, sent: map[uint64]time.Time{}}
	for i := range n {
		h, key, err := newHost()
		if err != nil {
			return g, err
		}
		g.hosts, g.keys = append(g.hosts, h), append(g.keys, key)
		router, err := gossip.New(h, gossip.Config{})
		if err != nil {
			return g, err
		}
		topic, err := router.Join("jobs/24g/0", gossip.TopicConfig{Validate: valid})
		if err != nil {
			return g, err
		}
		g.topics = append(g.topics, topic)
		for _, other := range rand.Perm(i)[:min(i, friends)] {
			if _, err := h.ConnectAddr(ctx, g.hosts[other].Addrs()[0]); err != nil {
				return g, err
			}
		}
		g.wg.Go(func() { g.hear(ctx, i, topic) })
	}
	for _, topic := range g.topics {
		if err := topic.WaitPeers(ctx, min(friends/2, n-1)); err != nil {
			return g, err
		}
	}
	return g, nil
}

func (g *gossips) close() {
	g.stop()
	g.wg.Wait()
	for _, h := range g.hosts {
		_ = h.Close()
	}
}

// valid passes on what is really signed.
func valid(_ peer.ID, data []byte) gossip.Verdict {
	if _, err := opened(data); err != nil {
		return gossip.Reject
	}
	return gossip.Accept
}

func opened(data []byte) (statement.Verified[*marketv1.Announcement], error) {
	var signed marketv1.Signed
	if err := proto.Unmarshal(data, &signed); err != nil {
		return statement.Verified[*marketv1.Announcement]{}, err
	}
	return statement.OpenAnnouncement(&signed)
}

// hear notes when a host has what others announced.
func (g *gossips) hear(ctx context.Context, self int, topic *gossip.Topic) {
	for {
		m, err := topic.Next(ctx)
		if err != nil {
			return
		}
		at := time.Now()
		var signed marketv1.Signed
		var a marketv1.Announcement
		if proto.Unmarshal(m.Data, &signed) != nil || proto.Unmarshal(signed.Payload, &a) != nil {
			continue
		}
		if int(a.Sequence)%len(g.hosts) == self {
			continue // its own
		}
		g.mu.Lock()
		g.took.add(at.Sub(g.sent[a.Sequence]))
		g.mu.Unlock()
	}
}

// announce publishes from one host after the other, and waits for the last to arrive.
func (g *gossips) announce(ctx context.Context) error {
	for seq := range uint64(announcements) {
		from := int(seq) % len(g.hosts)
		signed, err := statement.Sign(g.keys[from], statement.TypeAnnouncement, &marketv1.Announcement{
			Version: 1, Network: p2p.DefaultNetwork, Requester: g.keys[from].Public().(ed25519.PublicKey),
			JobId: make([]byte, 16), Sequence: seq, Gpu: &marketv1.Requirement{Count: 1}, PeerRecord: make([]byte, 200),
		})
		if err != nil {
			return err
		}
		data, err := proto.Marshal(signed)
		if err != nil {
			return err
		}
		g.mu.Lock()
		g.sent[seq] = time.Now()
		g.mu.Unlock()
		if err := g.topics[from].Publish(ctx, data); err != nil {
			return err
		}
		if err := rest(ctx, announceEvery); err != nil {
			return err
		}
	}
	return rest(ctx, time.Second)
}
