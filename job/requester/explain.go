package requester

import (
	"github.com/rigmesh/rigmesh/job"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Explanation is what a job asked for, and everything that was answered.
type Explanation struct {
	ID         job.ID
	Name       string
	State      string
	Submission *leasev1.Submission
	Events     []*leasev1.JobEvent // searches, bids, declines, leases, the end
}

// Explain says how a job's search for a worker went. ErrNoJob, ErrAmbiguous.
func (r *Requester) Explain(id string) (Explanation, error) {
	j, err := r.find(id)
	if err != nil {
		return Explanation{}, err
	}
	v := j.view()
	e := Explanation{ID: j.id, Name: v.Name, State: v.State, Submission: j.sub}
	events, _, _ := j.history.from(0)
	for _, ev := range events {
		switch ev.Event.(type) {
		case *leasev1.JobEvent_Searching, *leasev1.JobEvent_Bid, *leasev1.JobEvent_Decline, *leasev1.JobEvent_Lease, *leasev1.JobEvent_Ended:
			e.Events = append(e.Events, ev)
		}
	}
	return e, nil
}
