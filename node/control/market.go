package control

import (
	"context"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
)

// Market knows why: why a job found nobody, and why a machine is idle.
type Market interface {
	// ExplainJob tells what a job asked for and what was answered. ErrNotFound, ErrAmbiguous.
	ExplainJob(id string) (*controlv1.ExplainJobResponse, error)
	// ExplainWorker tells which jobs this node's worker heard of.
	ExplainWorker() *controlv1.ExplainWorkerResponse
}

// market answers the calls of MarketService.
type market struct{ s *Server }

var _ controlv1connect.MarketServiceHandler = market{}

// ExplainJob implements controlv1connect.MarketServiceHandler.
func (m market) ExplainJob(_ context.Context, req *controlv1.ExplainJobRequest) (*controlv1.ExplainJobResponse, error) {
	resp, err := m.s.Market.ExplainJob(req.JobId)
	if err != nil {
		return nil, toWire(err)
	}
	return resp, nil
}

// ExplainWorker implements controlv1connect.MarketServiceHandler.
func (m market) ExplainWorker(context.Context, *controlv1.ExplainWorkerRequest) (*controlv1.ExplainWorkerResponse, error) {
	return m.s.Market.ExplainWorker(), nil
}

// ExplainJob tells what a job asked for and what was answered. ErrNotFound, ErrAmbiguous.
func (c *Client) ExplainJob(ctx context.Context, id string) (*controlv1.ExplainJobResponse, error) {
	resp, err := c.market.ExplainJob(ctx, &controlv1.ExplainJobRequest{JobId: id})
	return resp, fromWire(err)
}

// ExplainWorker tells which jobs the node's worker heard of, and what became of them.
func (c *Client) ExplainWorker(ctx context.Context) (*controlv1.ExplainWorkerResponse, error) {
	resp, err := c.market.ExplainWorker(ctx, &controlv1.ExplainWorkerRequest{})
	return resp, fromWire(err)
}
