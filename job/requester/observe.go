package requester

import (
	"strings"

	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/lease"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// observation is what this side has seen of the task by itself: it goes into the
// ack of a beat for that interval, beside what the worker says. An end counts only for
// a beat that was asked for after it was seen: what the worker says about
// an earlier challenge may have been on its way.
func (t *tenure) observation(interval uint64) *leasev1.Observation {
	o := &leasev1.Observation{StdoutBytes: uint64(t.j.stdout.size()), StderrBytes: uint64(t.j.stderr.size())}
	switch t.phase() {
	case leasev1.Phase_PHASE_RUNNING:
		o.Running = true
	case leasev1.Phase_PHASE_COLLECTING, leasev1.Phase_PHASE_ENDED:
		o.Ended = interval >= t.endFrom.Load()
	}
	return o
}

// sawEnd remembers when the end of the task was first seen.
func (t *tenure) sawEnd() { t.endFrom.CompareAndSwap(0, t.session.Lease().Challenged()) }

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
