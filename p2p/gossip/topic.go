package gossip

import (
	"context"
	"errors"
	"fmt"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

var (
	// ErrNoPeers says that nobody else is in the topic, as far as we know.
	ErrNoPeers = errors.New("nobody else is in the topic")
	// ErrRefused says that our own validator does not accept the message.
	ErrRefused = errors.New("message refused by this topic's validator")
	// ErrClosed says that the topic was left or its host closed.
	ErrClosed = errors.New("topic closed")
)

// Verdict is a validator's word on a message.
type Verdict uint8

// What a validator may say.
const (
	Ignore Verdict = iota // drop it; nobody is to blame: expired, stale, over a rate, of a later version
	Accept                // deliver it and pass it on
	Reject                // drop it and hold it against the peer it came from
	Waste                 // drop it and count it: a peer that wastes much loses its hearing
)

const (
	defaultMaxSize = 16 << 10
	inbox          = 512 // messages a slow reader may fall behind before it loses some

	// settle is how long Publish waits for the first member to show up: peers
	// tell each other their topics just after connecting or joining.
	settle = time.Second
)

// TopicConfig says what a topic carries.
type TopicConfig struct {
	// Validate is called for every message before it is delivered or passed on,
	// concurrently, our own messages included (from is then this node). from is
	// the peer that forwarded the message, who need not be its author. data must
	// not be changed. Required.
	Validate func(from peer.ID, data []byte) Verdict
	// MaxSize is the most bytes of a message; larger ones are rejected. 0 means 16 KiB.
	MaxSize int
}

// Message is one delivered message.
type Message struct {
	From peer.ID // who forwarded it; this node for its own messages
	Data []byte
}

// Topic is a joined topic.
type Topic struct {
	r       *Router
	name    string
	maxSize int
	t       *pubsub.Topic
	sub     *pubsub.Subscription
}

// Join enters a topic of this network, such as "jobs/24g/0". A topic can be
// joined once at a time.
func (r *Router) Join(topic string, cfg TopicConfig) (*Topic, error) {
	if cfg.Validate == nil {
		return nil, fmt.Errorf("join topic %s: no validator", topic)
	}
	if cfg.MaxSize == 0 {
		cfg.MaxSize = defaultMaxSize
	}
	name := r.host.Topic(topic)
	// Validation may check a signature, so it has goroutines of its own.
	if err := r.ps.RegisterTopicValidator(name, r.validator(cfg)); err != nil {
		return nil, fmt.Errorf("join topic %s: %w", topic, err)
	}
	t, err := r.enter(name)
	if err != nil {
		_ = r.ps.UnregisterTopicValidator(name)
		return nil, fmt.Errorf("join topic %s: %w", topic, err)
	}
	t.maxSize = cfg.MaxSize
	return t, nil
}

func (r *Router) enter(name string) (*Topic, error) {
	t, err := r.ps.Join(name)
	if err != nil {
		return nil, err
	}
	if err := t.SetScoreParams(topicScores()); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	sub, err := t.Subscribe(pubsub.WithBufferSize(inbox))
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return &Topic{r: r, name: name, t: t, sub: sub}, nil
}

func (r *Router) validator(cfg TopicConfig) pubsub.ValidatorEx {
	return func(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		if len(m.GetData()) > cfg.MaxSize {
			return pubsub.ValidationReject
		}
		switch cfg.Validate(from, m.GetData()) {
		case Accept:
			return pubsub.ValidationAccept
		case Reject:
			return pubsub.ValidationReject
		case Waste:
			r.waste.note(from)
		}
		return pubsub.ValidationIgnore
	}
}

// Publish sends a message to the topic, and to our own Next. It waits up to a
// second for a first other member; ErrNoPeers means that nothing was sent and
// the same message can be published later. It reaches every member we are
// connected to at once, and through them the others, save those who joined
// within the last second or so: nobody passes on to them yet.
func (t *Topic) Publish(ctx context.Context, data []byte) error {
	if len(data) > t.maxSize {
		return fmt.Errorf("publish to %s: %w: %d bytes, at most %d", t.name, ErrRefused, len(data), t.maxSize)
	}
	waiting, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	if err := t.WaitPeers(waiting, 1); err != nil {
		if ctx.Err() == nil {
			err = ErrNoPeers
		}
		return fmt.Errorf("publish to %s: %w", t.name, err)
	}
	err := t.t.Publish(ctx, data)
	var refused pubsub.ValidationError
	if errors.As(err, &refused) {
		return fmt.Errorf("publish to %s: %w: %s", t.name, ErrRefused, refused.Reason)
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", t.name, err)
	}
	return nil
}

// Next waits for a message. One goroutine reads a topic; one that reads too
// slowly loses messages, never the network's pace.
func (t *Topic) Next(ctx context.Context) (Message, error) {
	m, err := t.sub.Next(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return Message{}, ctx.Err()
		}
		return Message{}, fmt.Errorf("read topic %s: %w", t.name, ErrClosed)
	}
	return Message{From: m.ReceivedFrom, Data: m.GetData()}, nil
}

// Peers is how many members of the topic we are connected to.
func (t *Topic) Peers() int { return len(t.t.ListPeers()) }

// WaitPeers waits until we are connected to at least n members.
func (t *Topic) WaitPeers(ctx context.Context, n int) error {
	pause := 2 * time.Millisecond
	// pubsub's own event says that a peer told us of its topic, which may be
	// before we can send it anything; nothing says when we can.
	for t.Peers() < n {
		select {
		case <-time.After(pause):
			pause = min(2*pause, 100*time.Millisecond)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Leave ends the topic; Next then returns ErrClosed.
func (t *Topic) Leave() error {
	t.sub.Cancel()
	return errors.Join(t.t.Close(), t.r.ps.UnregisterTopicValidator(t.name))
}
