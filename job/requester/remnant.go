package requester

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// remnant is what is remembered of a job that has ended, once nothing is to be said under its
// lease any more: a node may show tens of thousands. Its history and its output are files.
type remnant struct {
	created time.Time
	sub     []byte     // the Submission
	last    []byte     // the JobEvent of its end
	past    *pastLease // nil without a lease
}

// bury leaves of a job that has ended what is needed to show it, and nothing of one that nobody
// wants to see any more. A history that is not all in its file stays.
func (r *Requester) bury(j *run) {
	last := j.history.kept()
	if last == nil {
		return
	}
	m, err := j.remnant(last)
	if err != nil {
		j.log.Error("a job that has ended stays in memory", "err", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs[j.id.String()] != j {
		return // it is buried already, and may have been forgotten since
	}
	delete(r.runs, j.id.String())
	if !j.forgotten.Load() {
		r.remnants[j.id] = m
	}
}

func (j *run) remnant(last *leasev1.JobEvent) (*remnant, error) {
	m := &remnant{created: j.created}
	var err error
	if m.sub, err = proto.Marshal(j.sub); err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	if m.last, err = proto.Marshal(last); err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	m.past = j.past
	return m, nil
}

// recall makes a job of what is left of it, for whoever looks into it.
func (r *Requester) recall(id job.ID, m *remnant) (*run, error) {
	sub, last := &leasev1.Submission{}, &leasev1.JobEvent{}
	if err := proto.Unmarshal(m.sub, sub); err != nil {
		return nil, fmt.Errorf("submission of job %s: %w", id, err)
	}
	if err := proto.Unmarshal(m.last, last); err != nil {
		return nil, fmt.Errorf("end of job %s: %w", id, err)
	}
	j := r.newRun(id, sub, nil, m.created)
	j.past = m.past
	j.endedWith(last)
	return j, nil
}

// endedWith takes in how the job ended, which is on record.
func (j *run) endedWith(last *leasev1.JobEvent) {
	j.finished = last.GetEnded()
	j.stdout.end()
	j.stderr.end()
	j.history.end(last)
}
