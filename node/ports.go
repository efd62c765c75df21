package node

import (
	"context"
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

const portProtocol = "port"

// portLimits let a frame wait for as long as it must: whoever does not read holds the other
// end up, as on any connection, and cuts nothing off.
var portLimits = stream.Limits{PerPeer: 4 * worker.MaxConnections, Frame: 7 * 24 * time.Hour}

// reachWithin bounds opening a stream to a task's worker.
const reachWithin = 15 * time.Second

// servePort connects a requester to a port inside its task.
func (n *Node) servePort(ctx context.Context, link session.Link) {
	if n.worker == nil {
		return
	}
	var first leasev1.PortFrame
	if err := link.Recv(&first); err != nil {
		return
	}
	if err := n.worker.Port(ctx, first.GetOpen(), link); err != nil {
		n.log.Debug("port stream", "peer", link.Peer(), "err", err)
		link.Reset()
	}
}

// taskPorts leads to ports of the tasks of this node's jobs.
type taskPorts struct{ n *Node }

// Connect implements control.Ports.
func (p taskPorts) Connect(ctx context.Context, id string, port uint32) (control.Link, error) {
	to, lease, err := p.n.requester.Holder(id)
	if err != nil {
		return nil, translate(err)
	}
	opening, cancel := context.WithTimeout(ctx, reachWithin)
	link, err := p.n.open(opening, to, portProtocol, portLimits, p.n.servePort)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("%w: reach the worker of job %s: %w", control.ErrCut, id, err)
	}
	if err := link.Send(&leasev1.PortFrame{Frame: &leasev1.PortFrame_Open{Open: &leasev1.PortOpen{LeaseId: lease[:], Port: port}}}); err != nil {
		link.Reset()
		return nil, fmt.Errorf("%w: %w", control.ErrCut, err)
	}
	return link, nil
}
