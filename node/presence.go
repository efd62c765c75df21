package node

import (
	"context"
	"slices"
	"time"
)

// lookAnew is how often what is shared is looked at when nobody says that it changed.
const lookAnew = time.Minute

// stand keeps this node in the DHT under the keys that are wanted, until ctx ends. They are
// looked at now and then, and when something is sent on changed.
func (n *Node) stand(ctx context.Context, every time.Duration, changed <-chan struct{}, wanted func() []string) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for had := []string(nil); ; {
		keys := wanted()
		for _, key := range keys {
			if !slices.Contains(had, key) {
				n.provide(ctx, key)
			}
		}
		for _, key := range had {
			if !slices.Contains(keys, key) {
				n.discovery.Withdraw(key)
			}
		}
		had = keys
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// provide puts this node under a key. Alone, it is put there when others come.
func (n *Node) provide(ctx context.Context, key string) {
	if err := n.discovery.Provide(ctx, key); err != nil {
		n.log.Debug("provide", "key", key, "err", err)
	}
}
