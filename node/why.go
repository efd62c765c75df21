package node

import (
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/worker"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// why explains this node's part in the market to the control socket.
type why struct{ n *Node }

// ExplainJob tells what a job asked for and what was answered.
func (w why) ExplainJob(id string) (*controlv1.ExplainJobResponse, error) {
	e, err := w.n.requester.Explain(id)
	if err != nil {
		return nil, translate(err)
	}
	return &controlv1.ExplainJobResponse{
		JobId: e.ID.String(), Name: e.Name, State: e.State, Submission: e.Submission, Events: e.Events,
	}, nil
}

// maxExplained bounds how many heard jobs are told.
const maxExplained = 200

// ExplainWorker tells which jobs this node's worker heard of.
func (w why) ExplainWorker() *controlv1.ExplainWorkerResponse {
	resp := &controlv1.ExplainWorkerResponse{SinceMs: w.n.started.UnixMilli()}
	if w.n.worker == nil {
		return resp
	}
	resp.Worker, resp.Draining = true, w.n.draining.Load()
	all, lent := len(w.n.devices.All()), len(w.n.devices.Lent())
	resp.Devices, resp.FreeDevices, resp.WithheldDevices = uint32(all), uint32(len(w.n.devices.Free())), uint32(max(0, all-lent))
	resp.Leases = uint32(w.n.worker.Live())
	jobs, total := w.n.worker.Heard()
	resp.HeardCount = total
	for _, j := range jobs[:min(len(jobs), maxExplained)] {
		resp.Heard = append(resp.Heard, heardJob(j))
	}
	return resp
}

func heardJob(j worker.Heard) *controlv1.HeardJob {
	h := &controlv1.HeardJob{
		AtMs: j.At.UnixMilli(), PeerId: j.From.String(), Wanted: j.Wanted, MaxPrice: j.MaxPrice, BidPrice: j.Bid, WinningPrice: j.Price,
	}
	switch {
	case j.Decline != nil:
		h.Outcome = controlv1.HeardOutcome_HEARD_OUTCOME_DECLINED
		h.Decline, h.Detail = market.Word(j.Decline.GetReason()), job.CleanText(j.Decline.GetText())
	case j.Won:
		h.Outcome = controlv1.HeardOutcome_HEARD_OUTCOME_WON
	case j.Lost:
		h.Outcome = controlv1.HeardOutcome_HEARD_OUTCOME_LOST
	}
	return h
}
