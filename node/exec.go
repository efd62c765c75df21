package node

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// execLimits let a frame wait for as long as it must: whoever does not read holds the
// program up, as a full pipe does, and not the session.
var execLimits = stream.Limits{PerPeer: 64, Frame: 7 * 24 * time.Hour}

// Exec is the requester's way to a program in a task.
func (s streamSide) Exec(ctx context.Context, worker peer.ID) (session.Link, error) {
	return s.n.open(ctx, worker, "exec", execLimits, s.n.serveExec)
}

// serveExec runs a program in a task of this node's worker.
func (n *Node) serveExec(ctx context.Context, link session.Link) {
	if n.worker == nil {
		return
	}
	var first leasev1.ExecFrame
	if err := link.Recv(&first); err != nil {
		return
	}
	if err := n.worker.Exec(ctx, first.GetStart(), link); err != nil {
		n.log.Debug("exec stream", "peer", link.Peer(), "err", err)
		link.Reset()
	}
}

// tasks reaches into the tasks of the requester's jobs for the control socket.
type tasks struct{ n *Node }

// Exec implements control.Tasks.
func (t tasks) Exec(ctx context.Context, id string, start *leasev1.ExecStart) (control.Link, error) {
	link, err := t.n.requester.Exec(ctx, id, start)
	if err != nil {
		return nil, translate(err)
	}
	return link, nil
}

// Forget implements control.Tasks.
func (t tasks) Forget(ctx context.Context, id string) error {
	return translate(t.n.requester.Forget(ctx, id))
}
