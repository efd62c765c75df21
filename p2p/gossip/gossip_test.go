package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/discovery"
	"github.com/rigmesh/rigmesh/p2p/gossip"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func acceptAll(peer.ID, []byte) gossip.Verdict { return gossip.Accept }

func join(t *testing.T, h *p2p.Host, validate func(peer.ID, []byte) gossip.Verdict) *gossip.Topic {
	t.Helper()
	return joinWith(t, h, gossip.Config{}, validate)
}

func joinWith(t *testing.T, h *p2p.Host, cfg gossip.Config, validate func(peer.ID, []byte) gossip.Verdict) *gossip.Topic {
	t.Helper()
	r, err := gossip.New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	topic, err := r.Join("jobs/24g/0", gossip.TopicConfig{Validate: validate, MaxSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// next reads a message or fails the test.
func next(t *testing.T, topic *gossip.Topic) gossip.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	m, err := topic.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTwoNodesThatJustMetHearEachOther(t *testing.T) {
	hosts := p2ptest.Loopback(t, 2)
	a, b := join(t, hosts[0], acceptAll), join(t, hosts[1], acceptAll)
	p2ptest.Connect(t, hosts[1], hosts[0])
	if err := b.Publish(t.Context(), []byte("run this")); err != nil {
		t.Fatal(err)
	}
	if m := next(t, a); string(m.Data) != "run this" || m.From != hosts[1].ID() {
		t.Errorf("got %q from %s", m.Data, m.From)
	}
	if m := next(t, b); m.From != hosts[1].ID() {
		t.Errorf("own message is said to be from %s", m.From)
	}
}

func TestANewcomersFirstMessageReachesAnEstablishedTopic(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 6, p2ptest.Link{})
		var topics []*gossip.Topic
		for _, h := range hosts[:5] {
			topics = append(topics, join(t, h, acceptAll))
		}
		for _, h := range hosts[1:5] {
			p2ptest.Connect(t, h, hosts[0]) // a star: all go through the first
		}
		time.Sleep(3 * time.Second)
		newcomer := join(t, hosts[5], acceptAll)
		p2ptest.Connect(t, hosts[5], hosts[1])
		start := time.Now()
		if err := newcomer.Publish(t.Context(), []byte("run this")); err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			next(t, topic)
		}
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Errorf("it took %v for three hops of 20 ms", d)
		}
	})
}

func TestPublishWithoutAnybodySendsNothing(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
		a, b := join(t, hosts[0], acceptAll), join(t, hosts[1], acceptAll)
		if err := a.Publish(t.Context(), []byte("x")); !errors.Is(err, gossip.ErrNoPeers) {
			t.Fatalf("got %v, want ErrNoPeers", err)
		}
		p2ptest.Connect(t, hosts[0], hosts[1])
		if err := a.Publish(t.Context(), []byte("x")); err != nil {
			t.Fatalf("the same message later: %v", err)
		}
		next(t, b)
		next(t, a) // its own, once
		if a.Peers() != 1 {
			t.Errorf("%d peers, want 1", a.Peers())
		}
	})
}

func TestWhatAValidatorDoesNotAcceptGoesNoFurther(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 3, p2ptest.Link{})
		from := make(chan peer.ID, 10)
		source := join(t, hosts[0], acceptAll)
		// The only way from 0 to 2 leads through 1.
		join(t, hosts[1], func(p peer.ID, data []byte) gossip.Verdict {
			from <- p
			switch string(data) {
			case "ignore":
				return gossip.Ignore
			case "reject":
				return gossip.Reject
			}
			return gossip.Accept
		})
		last := join(t, hosts[2], acceptAll)
		p2ptest.Connect(t, hosts[0], hosts[1])
		p2ptest.Connect(t, hosts[2], hosts[1])
		time.Sleep(5 * time.Second) // the mesh forms
		for _, s := range []string{"ignore", "reject", "good"} {
			if err := source.Publish(t.Context(), []byte(s)); err != nil {
				t.Fatal(err)
			}
			if p := <-from; p != hosts[0].ID() {
				t.Errorf("%q validated as from %s", s, p)
			}
		}
		if m := next(t, last); string(m.Data) != "good" {
			t.Errorf("%q came through", m.Data)
		}
	})
}

func TestOnesOwnValidatorIsAskedFirst(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
		a := join(t, hosts[0], func(peer.ID, []byte) gossip.Verdict { return gossip.Reject })
		join(t, hosts[1], acceptAll)
		p2ptest.Connect(t, hosts[0], hosts[1])
		for _, data := range [][]byte{[]byte("x"), make([]byte, 101)} {
			if err := a.Publish(t.Context(), data); !errors.Is(err, gossip.ErrRefused) {
				t.Errorf("%d bytes: got %v, want ErrRefused", len(data), err)
			}
		}
	})
}

func TestAPeerThatSendsJunkIsNoLongerHeard(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
		spammer := join(t, hosts[0], acceptAll)
		asked := make(chan struct{}, 1000)
		join(t, hosts[1], func(peer.ID, []byte) gossip.Verdict {
			asked <- struct{}{}
			return gossip.Reject
		})
		p2ptest.Connect(t, hosts[0], hosts[1])
		for i := range 300 {
			if err := spammer.Publish(t.Context(), fmt.Appendf(nil, "junk %d", i)); err != nil {
				break // it was told that nobody listens
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(asked); n > 60 {
			t.Errorf("%d messages were looked at", n)
		}
	})
}

func TestOversizeIsRejectedBeforeTheValidator(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
		r, err := gossip.New(hosts[0], gossip.Config{})
		if err != nil {
			t.Fatal(err)
		}
		a, err := r.Join("jobs/24g/0", gossip.TopicConfig{Validate: acceptAll, MaxSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		b := join(t, hosts[1], func(_ peer.ID, data []byte) gossip.Verdict {
			if len(data) > 100 {
				t.Errorf("validator saw %d bytes", len(data))
			}
			return gossip.Accept
		})
		p2ptest.Connect(t, hosts[0], hosts[1])
		for _, n := range []int{101, 100} {
			if err := a.Publish(t.Context(), make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
		if m := next(t, b); len(m.Data) != 100 {
			t.Errorf("%d bytes came through", len(m.Data))
		}
	})
}

func TestLeavingATopicEndsNextAndItCanBeJoinedAgain(t *testing.T) {
	h := p2ptest.Loopback(t, 1)[0]
	r, err := gossip.New(h, gossip.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		topic, err := r.Join("t", gossip.TopicConfig{Validate: acceptAll})
		if err != nil {
			t.Fatal(err)
		}
		if err := topic.Leave(); err != nil {
			t.Fatal(err)
		}
		if _, err := topic.Next(t.Context()); !errors.Is(err, gossip.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
}

// Eight nodes, two of them in the topic, that know only the bootstrap node,
// which is not in it: the two find each other through the hash table.
func TestMembersOfATopicFindEachOther(t *testing.T) {
	hosts := p2ptest.Loopback(t, 8)
	var topics []*gossip.Topic
	for i, h := range hosts {
		d, err := discovery.New(h, discovery.Config{})
		if err != nil {
			t.Fatal(err)
		}
		p2ptest.Run(t, h, d)
		if i == 3 || i == 6 {
			topics = append(topics, joinWith(t, h, gossip.Config{Rendezvous: d}, acceptAll))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := topics[0].WaitPeers(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := topics[0].Publish(ctx, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	next(t, topics[1])
}
