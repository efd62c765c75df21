package node

import (
	"context"

	"github.com/rigmesh/rigmesh/job/session"
)

// local makes streams between this node's own requester and worker.
type local struct{ n *Node }

// open connects one end to serve and gives the other.
func (l *local) open(serve func(context.Context, session.Link)) session.Link {
	near, far := session.Pipe(l.n.host.ID(), l.n.host.ID())
	go func() {
		serve(far.Context(), far)
		_ = far.Close()
	}()
	return near
}
