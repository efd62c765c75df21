package node

import (
	"context"
	"time"
)

const (
	// collectEvery is how often unused blobs, and a store that is too large, are looked for.
	collectEvery = 10 * time.Minute
	// keepBlobs is how long a blob nothing needs is kept, so that the same image
	// or input need not be brought here for every run.
	keepBlobs = 24 * time.Hour
)

// collectGarbage removes blobs that no job or lease has needed for a day and nobody may still
// ask for, and more where the store is larger than its owner wants it.
func (n *Node) collectGarbage(ctx context.Context) error {
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		removed, err := n.store.Sweep(keepBlobs, n.holding())
		if err != nil {
			n.log.Warn("remove unused blobs", "err", err)
		} else if removed > 0 {
			n.log.Info("removed unused blobs", "blobs", removed)
		}
		if err := n.trim(ctx, 0); err != nil {
			n.log.Warn("bound the store", "err", err)
		}
	}
}
