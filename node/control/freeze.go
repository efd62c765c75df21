package control

import (
	"context"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Freezer has the tasks of jobs stand still.
type Freezer interface {
	// Freeze has a job's task stand still, or go on, and says how it stands then. ErrNotFound,
	// ErrAmbiguous, ErrNoTask, ErrCut.
	Freeze(ctx context.Context, id string, frozen bool) (leasev1.Phase, error)
}

// freezeServer answers the calls of FreezeService.
type freezeServer struct{ freezer Freezer }

var _ controlv1connect.FreezeServiceHandler = freezeServer{}

// Freeze implements controlv1connect.FreezeServiceHandler.
func (s freezeServer) Freeze(ctx context.Context, req *controlv1.FreezeRequest) (*controlv1.FreezeResponse, error) {
	phase, err := s.freezer.Freeze(ctx, req.JobId, req.Frozen)
	if err != nil {
		return nil, toWire(err)
	}
	return &controlv1.FreezeResponse{Phase: phase}, nil
}

// Freeze has a job's task stand still, or go on, and says how it stands then. ErrNotFound,
// ErrAmbiguous, ErrNoTask, ErrCut.
func (c *Client) Freeze(ctx context.Context, id string, frozen bool) (leasev1.Phase, error) {
	resp, err := c.freezer.Freeze(ctx, &controlv1.FreezeRequest{JobId: id, Frozen: frozen})
	return resp.GetPhase(), fromWire(err)
}
