package requester

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Exec begins one more program in a job's task: it gives the stream to the worker, with
// start sent for the job's lease. What comes back is an ExecReply each, also when the
// worker refuses. ErrNoJob, ErrAmbiguous, ErrEnded, ErrNotRunning, ErrSpec.
func (r *Requester) Exec(ctx context.Context, id string, start *leasev1.ExecStart) (session.Link, error) {
	t, err := r.holding(id)
	if err != nil {
		return nil, err
	}
	if err := job.CheckExec(start); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	link, err := r.Streams.Exec(dial, t.worker)
	if err != nil {
		return nil, fmt.Errorf("reach the worker of job %s: %w", t.j.id, err)
	}
	start = proto.CloneOf(start)
	start.LeaseId = t.id[:]
	if err := link.Send(&leasev1.ExecFrame{Frame: &leasev1.ExecFrame_Start{Start: start}}); err != nil {
		link.Reset()
		return nil, fmt.Errorf("run a program in job %s: %w", t.j.id, err)
	}
	return link, nil
}
