package requester

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
)

// Holder says which worker has the task of a job, and under which lease. The task may not
// have begun, or have ended already, there. ErrNoJob, ErrAmbiguous, ErrEnded, ErrNotRunning.
func (r *Requester) Holder(id string) (peer.ID, job.LeaseID, error) {
	t, err := r.holding(id)
	if err != nil {
		return "", job.LeaseID{}, err
	}
	return t.worker, t.id, nil
}

// holding is the lease of a job that goes on.
func (r *Requester) holding(id string) (*tenure, error) {
	j, err := r.find(id)
	if err != nil {
		return nil, err
	}
	t := j.lease()
	switch {
	case j.over():
		return nil, fmt.Errorf("%s: %w", j.id, ErrEnded)
	case t == nil:
		return nil, fmt.Errorf("%s: %w: no worker was found so far", j.id, ErrNotRunning)
	}
	return t, nil
}
