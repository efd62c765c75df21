package control

import (
	"context"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
)

// Reach knows the ways between this node and others.
type Reach interface {
	// Reach tells how this node is reached, and how each connected peer is.
	Reach() *controlv1.ReachResponse
}

// reach answers the calls of ReachService.
type reach struct{ s *Server }

var _ controlv1connect.ReachServiceHandler = reach{}

// Reach implements controlv1connect.ReachServiceHandler.
func (r reach) Reach(context.Context, *controlv1.ReachRequest) (*controlv1.ReachResponse, error) {
	return r.s.Config.Reach.Reach(), nil
}

// Reach tells how the node is reached, and how each connected peer is.
func (c *Client) Reach(ctx context.Context) (*controlv1.ReachResponse, error) {
	resp, err := c.reach.Reach(ctx, &controlv1.ReachRequest{})
	return resp, fromWire(err)
}
