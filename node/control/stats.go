package control

import (
	"context"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Stats knows what the tasks of jobs use.
type Stats interface {
	// Stats asks the worker of a job. ErrNotFound, ErrAmbiguous, ErrNoTask, ErrCut.
	Stats(ctx context.Context, id string) (*leasev1.TaskStats, error)
}

// statsServer answers the calls of StatsService.
type statsServer struct{ stats Stats }

var _ controlv1connect.StatsServiceHandler = statsServer{}

// Stats implements controlv1connect.StatsServiceHandler.
func (s statsServer) Stats(ctx context.Context, req *controlv1.StatsRequest) (*controlv1.StatsResponse, error) {
	stats, err := s.stats.Stats(ctx, req.JobId)
	if err != nil {
		return nil, toWire(err)
	}
	return &controlv1.StatsResponse{Stats: stats}, nil
}

// Stats asks the worker of a job what its task uses. ErrNotFound, ErrAmbiguous, ErrNoTask,
// ErrCut.
func (c *Client) Stats(ctx context.Context, id string) (*leasev1.TaskStats, error) {
	resp, err := c.stats.Stats(ctx, &controlv1.StatsRequest{JobId: id})
	return resp.GetStats(), fromWire(err)
}
