package node

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/p2p/stream"
)

// open opens a stream of a protocol to a worker, or to our own, which serve answers.
func (n *Node) open(ctx context.Context, worker peer.ID, protocol string, limits stream.Limits, serve func(context.Context, session.Link)) (session.Link, error) {
	if worker == n.host.ID() {
		return n.local(serve), nil
	}
	return stream.OpenLimited(ctx, n.host, worker, protocol, limits)
}

// local is a stream between this node's own requester and worker: one end is
// served, the other is the result. libp2p cannot dial itself.
func (n *Node) local(serve func(context.Context, session.Link)) session.Link {
	near, far := session.Pipe(n.host.ID(), n.host.ID())
	go func() {
		serve(far.Context(), far)
		_ = far.Close()
	}()
	return near
}
