package requester

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// keepReceipt keeps the best receipt that there is, and the proof of an equivocation. While the disk
// is full it waits, until ctx ends: then it is not kept.
func (t *tenure) keepReceipt(ctx context.Context) (kept bool) {
	err := journal.InsistOn(ctx, t.keepOnce, func(err error) {
		t.log.Warn("the receipt waits for room on the disk", "err", err)
		t.j.trouble("disk-full", "the receipt waits until there is room: %v", err)
	})
	if err != nil {
		t.log.Error("receipt not kept", "err", err)
	}
	return !journal.IsFull(err)
}

func (t *tenure) keepOnce() error { return t.session.Keep(t.j.r.Receipts) }

// conclude says how the job ended, from how its lease did; nil when ctx ended before its receipt
// could be kept.
func (t *tenure) conclude(ctx context.Context) *leasev1.JobEnded {
	l := t.session.Lease()
	if !t.keepReceipt(ctx) {
		return nil
	}
	end := &leasev1.JobEnded{LeaseId: t.id.String(), CreditMs: l.CreditMS(), Amount: l.Amount()}
	if l.Receipt() == nil {
		end.LeaseId = ""
	}
	select {
	case <-t.received:
		end.Exit, end.Outputs = cleanExit(t.ended.Exit), t.fetched
		if len(t.unstored) > 0 {
			end.Sentence = job.CleanText("output not fetched: " + strings.Join(t.unstored, "; "))
		}
	default:
	}
	t.explain(end, l)
	return end
}

// cleanExit is an exit of which the worker's text can be shown.
func cleanExit(e *leasev1.Exit) *leasev1.Exit {
	if e == nil {
		return nil
	}
	e = proto.CloneOf(e)
	e.Error = job.CleanText(e.Error)
	return e
}

// explain sets the outcome of a job whose lease has ended, and the sentence for people.
func (t *tenure) explain(end *leasev1.JobEnded, l lease.Lease) {
	var reason leasev1.CloseReason
	state, c := l.State(), closeOf(l)
	if late := t.lateClose(l); late != nil {
		state, c = lease.Closed, late
	}
	if c != nil {
		reason = c.Reason
		if end.Exit == nil {
			end.Exit = cleanExit(c.Exit)
		}
	}
	say := func(o leasev1.Outcome, format string, args ...any) {
		end.Outcome = o
		if end.Sentence == "" {
			end.Sentence = fmt.Sprintf(format, args...)
		}
	}
	switch state {
	case lease.Closed:
		switch reason {
		case leasev1.CloseReason_CLOSE_REASON_EXITED:
			say(leasev1.Outcome_OUTCOME_EXITED, "the task exited with code %d%s", end.Exit.GetCode(), causeNote(end.Exit))
		case leasev1.CloseReason_CLOSE_REASON_STOPPED:
			say(leasev1.Outcome_OUTCOME_STOPPED, "stopped; the task exited with code %d%s", end.Exit.GetCode(), causeNote(end.Exit))
		case leasev1.CloseReason_CLOSE_REASON_TIMEOUT:
			say(leasev1.Outcome_OUTCOME_TIMEOUT, "the time agreed on was up")
		case leasev1.CloseReason_CLOSE_REASON_YIELDED:
			say(leasev1.Outcome_OUTCOME_FAILED, "the worker's owner took the machine back")
		default:
			say(leasev1.Outcome_OUTCOME_FAILED, "%s%s: %s", failure(end.Exit), causeNote(end.Exit), end.Exit.GetError())
		}
	case lease.Refused:
		if t.j.wantsStop() {
			say(leasev1.Outcome_OUTCOME_STOPPED, "stopped before the lease began")
			return
		}
		if !t.restored && l.Changed().UnixMilli() >= t.terms.StartByMs {
			t.j.r.Standing.Strike(t.worker)
		}
		say(leasev1.Outcome_OUTCOME_FAILED, "the lease never began: the worker was not reached in time")
	case lease.Fault:
		say(leasev1.Outcome_OUTCOME_FAILED, "the worker signed two different statements for one beat: the lease is void from there on")
	default:
		if why := t.disputed.Load(); why != nil {
			say(leasev1.Outcome_OUTCOME_FAILED, "%s", *why)
			return
		}
		if t.j.wantsStop() {
			say(leasev1.Outcome_OUTCOME_STOPPED, "the lease was given up")
			return
		}
		if exit := t.endedAlone(); exit != nil {
			end.Exit = exit
			say(leasev1.Outcome_OUTCOME_LAPSED, "the task exited with code %d, and what it left could not be brought here", exit.Code)
			return
		}
		say(leasev1.Outcome_OUTCOME_LAPSED, "the worker was silent for %s; the receipt covers what was served before",
			time.Duration(t.terms.AbsentGraceMs)*time.Millisecond)
	}
}

// failure says how far a task came that did not end by itself.
func failure(e *leasev1.Exit) string {
	if e.GetCause() == leasev1.Cause_CAUSE_LOST {
		return "the task did not come to its end"
	}
	return "the task could not run"
}

// causeNote says why, where that is known.
func causeNote(e *leasev1.Exit) string {
	if s := job.CauseSentence(e); s != "" {
		return ": " + s
	}
	return ""
}

// closeOf is the close of a lease that ended by agreement.
func closeOf(l lease.Lease) *leasev1.Close {
	r := l.Receipt()
	if r == nil || len(r.Close) == 0 {
		return nil
	}
	var c leasev1.Close
	if err := proto.Unmarshal(r.Close, &c); err != nil {
		return nil // these bytes were verified before they were signed
	}
	return &c
}

// wantsStop says whether the user asked to stop the job.
func (j *run) wantsStop() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stopping
}
