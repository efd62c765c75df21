package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sort"
	"strings"
	"time"

	"github.com/rigmesh/rigmesh/job/requester"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// Status says what this node is and does.
func (n *Node) Status(context.Context) *controlv1.StatusResponse {
	st := &controlv1.StatusResponse{
		PeerId: n.ID(), Network: n.cfg.Network, Addresses: n.Addrs(), ConnectedPeers: uint32(len(n.host.Peers())),
		Worker: n.worker != nil, StartedMs: n.started.UnixMilli(), Leases: uint32(n.requester.Live()),
		UploadedBytes: n.uploaded.Sent(), UploadMax: n.cfg.Reach.UploadMax,
	}
	if n.worker != nil {
		st.Leases += uint32(n.worker.Live())
		st.FreeDevices = uint32(len(n.devices.Free()))
		st.Devices = n.worker.Devices()
	}
	if len(n.host.Peers()) == 0 {
		c := &controlv1.Condition{Code: "alone", Severity: "warning", Sentence: "not connected to any other node"}
		c.Remedy = "start with --bootstrap ADDRESS of a node of this network"
		if len(n.cfg.Bootstrap) > 0 {
			c.Remedy = "check that a bootstrap address answers; this node keeps trying"
		}
		st.Conditions = append(st.Conditions, c)
	}
	st.Conditions = append(st.Conditions, n.reachConditions()...)
	st.Conditions = append(st.Conditions, n.deviceConditions()...)
	st.Conditions = append(st.Conditions, n.diskConditions()...)
	st.Conditions = append(st.Conditions, n.clockConditions()...)
	if n.draining.Load() {
		st.Conditions = append(st.Conditions, &controlv1.Condition{
			Code: "draining", Severity: "warning",
			Sentence: "finishing its leases, then stopping", Remedy: "rigmesh down stops at once",
		})
	}
	return st
}

// jobs shows the requester's jobs and the worker's leases to the control socket.
type jobs struct{ n *Node }

func (j jobs) Submit(ctx context.Context, s *leasev1.Submission) (string, error) {
	if j.n.draining.Load() {
		return "", control.ErrStopping
	}
	id, err := j.n.requester.Submit(ctx, s)
	return id, translate(err)
}

func (j jobs) Events(ctx context.Context, id string, follow bool) iter.Seq2[*leasev1.JobEvent, error] {
	return func(yield func(*leasev1.JobEvent, error) bool) {
		for e, err := range j.n.requester.Events(ctx, id, follow) {
			if !yield(e, translate(err)) {
				return
			}
		}
	}
}

func (j jobs) Output(ctx context.Context, id string, stream runtime.Stream, offset int64, follow bool) (io.ReadCloser, error) {
	r, err := j.n.requester.Output(ctx, id, stream, offset, follow)
	return r, translate(err)
}

func (j jobs) Stop(ctx context.Context, id string, grace time.Duration, abandon bool) error {
	err := j.n.requester.Stop(ctx, id, grace, abandon)
	if errors.Is(err, requester.ErrEnded) {
		return nil
	}
	return translate(err)
}

// translate puts a requester's errors into the words of the control socket.
func translate(err error) error {
	for _, t := range []struct{ from, to error }{
		{requester.ErrNoJob, control.ErrNotFound},
		{requester.ErrAmbiguous, control.ErrAmbiguous},
		{requester.ErrSpec, control.ErrInvalid},
		{requester.ErrLive, control.ErrInvalid},
		{requester.ErrEnded, control.ErrNoTask},
		{requester.ErrNotRunning, control.ErrNoTask},
	} {
		if errors.Is(err, t.from) {
			return fmt.Errorf("%w: %w", t.to, err)
		}
	}
	return err
}

func (j jobs) List(all bool) []*controlv1.Job {
	var out []*controlv1.Job
	list := j.n.requester.LiveJobs
	if all {
		list = j.n.requester.Jobs
	}
	for _, v := range list() {
		out = append(out, requesterJob(v))
	}
	if j.n.worker != nil {
		for _, v := range j.n.worker.Leases() {
			if all || !v.State.Ended() {
				out = append(out, workerJob(v))
			}
		}
	}
	sort.Slice(out, func(a, b int) bool { return out[a].CreatedMs < out[b].CreatedMs })
	return out
}

func requesterJob(v requester.View) *controlv1.Job {
	j := &controlv1.Job{
		JobId: v.ID.String(), Name: v.Name, Role: "requester", State: v.State, Image: v.Image,
		CreatedMs: v.Created.UnixMilli(), CreditMs: v.CreditMS, Amount: v.Amount,
		LeaseId: v.LeaseID, Exit: v.Exit, Beats: v.Beats,
	}
	if v.Worker != "" {
		j.PeerId = v.Worker.String()
	}
	return j
}

func workerJob(v worker.View) *controlv1.Job {
	state := v.State.String()
	if !v.State.Ended() {
		state += ", " + strings.ToLower(strings.TrimPrefix(v.Phase.String(), "PHASE_"))
	}
	return &controlv1.Job{
		JobId: v.JobID.String(), Name: v.Name, Role: "worker", State: state, Image: v.Image,
		PeerId: v.Requester.String(), CreatedMs: v.Created.UnixMilli(), CreditMs: v.CreditMS,
		Amount: v.Amount, LeaseId: v.ID.String(), Exit: v.Exit, Beats: v.Beats,
	}
}
