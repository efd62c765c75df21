package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node/shares"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	"github.com/rigmesh/rigmesh/p2p/swarm"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

const (
	// vanished is how long a worker looks for whoever has more of an input before it gives up.
	vanished = 2 * time.Minute
	// findAgain is the pause between two looks.
	findAgain = 5 * time.Second
)

// sharedKey is where the nodes that share a folder are found. Nobody learns a digest from it.
func sharedKey(digest string) string { return "content/" + digest }

// commons is the content that nodes give to whoever knows its digest: this one's, and
// others'.
type commons struct {
	n      *Node
	shares *shares.Shares
	swarm  *swarm.Swarm

	mu     sync.Mutex
	wanted map[string]int // manifests and blobs on their way to a task, by how many want them
}

func openCommons(n *Node) *commons {
	return &commons{
		n: n, swarm: swarm.New(n.swarm(sharedKey)), wanted: make(map[string]int),
		shares: shares.Open(shares.Config{
			File: n.path("shares.json"), Now: n.now, Digests: folders{store: n.store}.Digests, Log: n.log,
		}),
	}
}

// run puts this node where whoever looks for what it shares finds it.
func (c *commons) run(ctx context.Context) error {
	c.n.stand(ctx, lookAnew, c.shares.Changed(), func() (keys []string) {
		for _, s := range c.shares.List() {
			keys = append(keys, sharedKey(s.Manifest))
		}
		return keys
	})
	return nil
}

// holds says whether a blob is shared, or on its way to a task.
func (c *commons) holds(digest string) bool {
	c.mu.Lock()
	wanted := c.wanted[digest] > 0
	c.mu.Unlock()
	return wanted || c.shares.Has(digest)
}

// keep holds on to blobs until they are let go of.
func (c *commons) keep(digests []string) (letGo func()) {
	count := func(by int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, d := range digests {
			if c.wanted[d] += by; c.wanted[d] == 0 {
				delete(c.wanted, d)
			}
		}
	}
	count(1)
	return func() { count(-1) }
}

// Bring implements worker.Commons.
func (c *commons) Bring(ctx context.Context, in *marketv1.Input, requester runtime.BlobSource, progress runtime.Progress) (runtime.BlobSource, func(), error) {
	letGo := func() {}
	var here int64
	want := swarm.Folder{
		Manifest: in.Manifest, Limits: tree.Limits{Bytes: max(1, in.TotalBytes)}, Elsewhere: requester,
		Room: func(missing int64) error {
			letGo()
			digests, err := c.n.folders().Digests(in.Manifest)
			letGo = c.keep(digests)
			return errors.Join(err, c.n.trim(ctx, missing))
		},
		Progress: func(done, total int64) {
			here = max(here, done)
			progress(done, total)
		},
	}
	from := c.swarm
	if !c.n.cfg.FetchInputs {
		from = swarm.New(swarm.Config{Find: noPeers, Log: c.n.log})
	}
	err := c.bring(ctx, from, want, &here)
	if err != nil {
		letGo()
		return nil, nil, err
	}
	return c.n.store, letGo, nil
}

// bring tries until there was nothing more to be had for a while.
func (c *commons) bring(ctx context.Context, from *swarm.Swarm, want swarm.Folder, here *int64) error {
	for had, since := int64(-1), time.Now(); ; {
		err := from.Folder(ctx, want, c.n.store)
		switch {
		case err == nil || ctx.Err() != nil || errors.Is(err, runtime.ErrNoSpace):
			return err
		case errors.Is(err, tree.ErrManifest) || errors.Is(err, tree.ErrTooMuch) || errors.Is(err, blob.ErrDigest):
			return fmt.Errorf("%w: %w", worker.ErrContent, err)
		case errors.Is(err, blob.ErrNoSpace):
			return fmt.Errorf("%w: %w", runtime.ErrNoSpace, err)
		case !c.n.cfg.FetchInputs && errors.Is(err, blob.ErrUnknown):
			return fmt.Errorf("%w: %s: the owner of this worker has it ask nobody but the requester, who does not have it", worker.ErrContent, want.Manifest)
		}
		if *here > had {
			had, since = *here, time.Now()
		}
		if time.Since(since) > vanished {
			return fmt.Errorf("%w: nobody that can be reached shares all of %s", worker.ErrContent, want.Manifest)
		}
		c.n.log.Info("a shared input is not to be had just now, looking again", "digest", want.Manifest, "err", err)
		select {
		case <-time.After(findAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// noPeers is a search that finds nobody.
func noPeers(context.Context, string, int) iter.Seq[peer.ID] { return func(func(peer.ID) bool) {} }
