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

// freezeWithin bounds a freeze or thaw, which takes the worker some time.
const freezeWithin = 20 * time.Second

// freezer has the workers of this node's jobs freeze tasks.
type freezer struct{ n *Node }

// Freeze implements control.Freezer.
func (f freezer) Freeze(ctx context.Context, id string, frozen bool) (leasev1.Phase, error) {
	worker, lease, err := f.n.requester.Holder(id)
	if err != nil {
		return 0, translate(err)
	}
	ctx, cancel := context.WithTimeout(ctx, freezeWithin)
	defer cancel()
	resp, req := &leasev1.FreezeResponse{}, &leasev1.FreezeRequest{LeaseId: lease[:], Frozen: frozen}
	if worker == f.n.host.ID() {
		resp, err = f.n.serveFreeze(ctx, worker, req)
	} else {
		err = stream.Call(ctx, f.n.host, worker, "freeze", req, resp)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: ask the worker of job %s: %w", control.ErrCut, id, err)
	case resp.Phase > leasev1.Phase_PHASE_FROZEN:
		return 0, fmt.Errorf("%w: the task of job %s has ended", control.ErrNoTask, id)
	}
	return resp.Phase, nil
}

func (n *Node) serveFreeze(ctx context.Context, from peer.ID, req *leasev1.FreezeRequest) (*leasev1.FreezeResponse, error) {
	if n.worker == nil {
		return nil, errors.New("this node lends nothing")
	}
	return n.worker.Freeze(ctx, from, req)
}
