package lease

import (
	"math"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// creditLimit is the most that may be claimed now: what the terms pay for, and
// no more than max_unpaid intervals beyond what is co-signed.
func (l Lease) creditLimit() uint64 { return min(l.maxCreditMS, l.unpaidLimit()) }

// unpaidLimit is how much may be counted before more of it is co-signed.
func (l Lease) unpaidLimit() uint64 { return l.chain.creditMS + l.maxUnpaid() }

// unpaid says whether the task has run for as long as it may without being paid.
func (l Lease) unpaid() bool {
	return l.Role == Worker && l.worker.meter.at(l.now, math.MaxUint64).countedMS >= l.unpaidLimit()
}

// suspends is when a task that runs has to stand still: when it has run for as long
// as may be unpaid, or when that many intervals are missed, as they can be while an
// image is fetched. Zero while it stands.
func (l Lease) suspends() time.Time {
	m := l.worker.meter
	if l.phase != phaseLive || !m.running() {
		return time.Time{}
	}
	left := l.unpaidLimit() - min(l.unpaidLimit(), m.countedMS)
	due := deadline{l.missedAt(l.maxMissed)}
	due.at(m.since.Add(time.Duration(left) * time.Millisecond))
	return due.Time
}

func (t *turn) taskRunning() error {
	if t.phase != phaseLive || !t.worker.running.IsZero() {
		return ErrOutOfOrder
	}
	t.worker.running, t.worker.meter.since = t.now, t.now
	t.holdStill()
	return nil
}

// taskEnded stops the count of credit for good.
func (t *turn) taskEnded(e *leasev1.Exit) error {
	if t.phase != phaseLive || t.worker.running.IsZero() {
		return ErrOutOfOrder
	}
	t.worker.meter = t.worker.meter.at(t.taskEnd(e), t.creditLimit()).stop()
	t.worker.ended, t.worker.frozen = true, false
	return nil
}

// stopTaskAsked ends the task because the requester wants it to end.
func (t *turn) stopTaskAsked(grace time.Duration) error {
	return t.stopTask(leasev1.CloseReason_CLOSE_REASON_STOPPED, grace, "stopped before it began")
}

// stopTask tells the task to end. The first reason is the one that the close
// gives. Later wishes only count when they are more urgent, so that asking
// again does not renew the grace.
func (t *turn) stopTask(why leasev1.CloseReason, grace time.Duration, reason string) error {
	switch t.phase {
	case phaseWaiting:
		t.end(Refused, reason)
		return nil
	case phaseClosing:
		return ErrStale
	}
	grace = max(0, grace)
	by := t.now.Add(grace)
	if !t.worker.stopBy.IsZero() && !by.Before(t.worker.stopBy) {
		return ErrStale
	}
	if t.worker.stopBy.IsZero() && !t.worker.ended { // one that has ended did so by itself
		t.worker.stop = why
	}
	t.worker.stopBy = by
	t.do(StopTask{Grace: grace})
	return nil
}

// stopForEnd ends the task at once, because the lease ends with it. Before the
// first challenge and after the task's end there is none.
func (t *turn) stopForEnd() {
	if t.phase == phaseLive {
		t.worker.meter = t.worker.meter.at(t.now, t.creditLimit()).stop()
		t.do(StopTask{})
	}
}

// suspend freezes a task that is not paid for. The count of credit stops at the
// moment at which that was due, however late this is noticed.
func (t *turn) suspend() {
	due := t.suspends()
	if due.IsZero() || t.now.Before(due) {
		return
	}
	t.worker.meter = t.worker.meter.at(due, t.creditLimit()).stop()
	t.worker.frozen = true
	t.do(FreezeTask{})
}

// thaw lets the task go on once a beat is co-signed, unless its owner holds it.
func (t *turn) thaw() {
	if t.phase != phaseLive || !t.worker.frozen || t.worker.held || t.unpaid() || t.missed() >= t.maxMissed {
		return
	}
	t.worker.frozen, t.worker.meter.since = false, t.now
	t.do(ThawTask{})
}

// limit is when the task's time or money is up, and zero while that is not
// known, or while the task is told to end before that matters.
func (l Lease) limit() time.Time {
	w := l.worker
	if l.phase != phaseLive || w.running.IsZero() || w.ended || w.timedOut {
		return time.Time{}
	}
	limit := w.running.Add(l.maxDuration)
	left := l.maxCreditMS - min(l.maxCreditMS, w.meter.countedMS)
	if w.meter.running() && left < uint64(l.maxDuration.Milliseconds()) {
		if paid := w.meter.since.Add(time.Duration(left) * time.Millisecond); paid.Before(limit) {
			limit = paid
		}
	}
	if !w.stopBy.IsZero() && !w.stopBy.After(limit.Add(stopGrace)) {
		return time.Time{}
	}
	return limit
}

// stopAtLimit tells the task to end when its time or money is up.
func (t *turn) stopAtLimit() {
	limit := t.limit()
	if limit.IsZero() || t.now.Before(limit) {
		return
	}
	if t.worker.stopBy.IsZero() {
		t.worker.stop = leasev1.CloseReason_CLOSE_REASON_TIMEOUT
	}
	t.worker.timedOut, t.worker.stopBy = true, t.now.Add(stopGrace)
	t.do(StopTask{Grace: stopGrace})
}
