package node

import (
	"context"

	"github.com/rigmesh/rigmesh/job/session"
)

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
