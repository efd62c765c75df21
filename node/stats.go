package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// statsWithin bounds asking a worker what a task uses.
const statsWithin = 10 * time.Second

// taskStats asks the workers of this node's jobs.
type taskStats struct{ n *Node }

// Stats implements control.Stats.
func (s taskStats) Stats(ctx context.Context, id string) (*leasev1.TaskStats, error) {
	worker, lease, err := s.n.requester.Holder(id)
	if err != nil {
		return nil, translate(err)
	}
	req := &leasev1.StatsRequest{LeaseId: lease[:]}
	if worker == s.n.host.ID() {
		return s.n.serveStats(ctx, worker, req)
	}
	ctx, cancel := context.WithTimeout(ctx, statsWithin)
	defer cancel()
	var stats leasev1.TaskStats
	if err := stream.Call(ctx, s.n.host, worker, "stats", req, &stats); err != nil {
		return nil, fmt.Errorf("%w: ask the worker of job %s: %w", control.ErrCut, id, err)
	}
	return &stats, nil
}

func (n *Node) serveStats(ctx context.Context, from peer.ID, req *leasev1.StatsRequest) (*leasev1.TaskStats, error) {
	if n.worker == nil {
		return nil, errors.New("this node lends nothing")
	}
	return n.worker.Stats(ctx, from, req)
}
