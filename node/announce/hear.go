package announce

import (
	"context"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/p2p/discovery"
)

// Listener is told what a topic says. Its methods return at once.
type Listener interface {
	// Announced takes an announcement.
	Announced(Announcement)
	// Withdrawn takes a withdrawal of one heard before.
	Withdrawn(Withdrawal)
}

// Hear hands everything said in a tier to a listener until ctx ends, each announcement
// once. Where the tier is split it hears the shards that this node stands in, and moves
// to others as the network grows or shrinks.
func (b *Board) Hear(ctx context.Context, tier string, to Listener) error {
	tick := time.NewTicker(discovery.Republish)
	defer tick.Stop()
	ctx, cancel := context.WithCancel(ctx)
	var ears sync.WaitGroup
	defer ears.Wait()
	defer cancel()
	for stop := map[string]context.CancelFunc{}; ; {
		stands := map[string]bool{}
		for _, topic := range b.spread().Keys(class(tier), b.Self) {
			stands[topic] = true
			if stop[topic] != nil {
				continue
			}
			m, err := b.join(topic)
			if err != nil {
				return err
			}
			here, leave := context.WithCancel(ctx)
			stop[topic] = leave
			ears.Go(func() {
				defer b.leave(topic)
				b.listen(here, m, to)
			})
		}
		for topic, leave := range stop {
			if !stands[topic] {
				leave()
				delete(stop, topic)
			}
		}
		select {
		case <-ctx.Done():
			return nil // the node is stopping
		case <-tick.C:
		}
	}
}

// listen hands on what one topic says.
func (b *Board) listen(ctx context.Context, m *membership, to Listener) {
	for {
		message, err := m.Next(ctx)
		if err != nil {
			return
		}
		switch said, err := open(message.Data); {
		case err != nil:
		case said.withdrawal.Signed() != nil:
			to.Withdrawn(said.withdrawal)
		default:
			if had, _ := b.handed.ContainsOrAdd(said.announcement.Hash(), struct{}{}); !had {
				to.Announced(said.announcement)
			}
		}
	}
}
