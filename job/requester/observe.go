package requester

import (
	"strings"

	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/lease"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// observation is what this side has seen of the task by itself: it goes into the
// ack, beside what the worker says.
func (t *tenure) observation() *leasev1.Observation {
	o := &leasev1.Observation{StdoutBytes: uint64(t.j.stdout.size()), StderrBytes: uint64(t.j.stderr.size())}
	switch t.phase() {
	case leasev1.Phase_PHASE_RUNNING:
		o.Running = true
	case leasev1.Phase_PHASE_COLLECTING, leasev1.Phase_PHASE_ENDED:
		o.Ended = true
	}
	return o
}

// dispute tells people that a beat's evidence does not fit, and ends the task if
// they said so beforehand. What was acked stays owed either way.
func (t *tenure) dispute(d lease.Disputed) {
	var why []string
	for _, m := range d.Mismatches {
		why = append(why, evidence.Words(m))
	}
	if said := strings.Join(why, "; "); said != t.differs { // once, not at every beat
		t.differs = said
		t.j.trouble("evidence-differs", "the worker's evidence in heartbeat %d does not fit: %s", d.Seq, said)
	}
	if t.j.sub.StopDisputed && t.stopped.CompareAndSwap(false, true) {
		t.j.trouble("stopped-disputed", "the task is ended because of that, as the job wants it")
		t.j.r.wg.Go(func() { t.stop(stopGrace, false) })
	}
}
