package lease

import "time"

// The requester numbers intervals from its own start. Interval k is open until
// its end plus grace; after that no beat for it is acked. The worker does not
// know that start, so it counts from the arrival of the last challenge whose
// beat is co-signed: an interval later than the requester at most.

// intervalAt is the interval that a moment falls into, counted from start.
func (l Lease) intervalAt(at time.Time) uint64 {
	return uint64(max(0, at.Sub(l.start)) / l.interval)
}

// begins is when an interval begins, on the requester.
func (l Lease) begins(interval uint64) time.Time {
	const far = 1 << 62 // beyond every term, and no overflow in a product
	if interval > uint64(far/int64(l.interval)) {
		return l.start.Add(far)
	}
	return l.start.Add(time.Duration(interval) * l.interval)
}

// closes is the moment from which on a beat for the interval is not acked.
func (l Lease) closes(interval uint64) time.Time {
	return l.begins(interval).Add(l.interval + l.grace)
}

// missed is how many intervals closed since the one that anchor lies in
// without a co-signed beat.
func (l Lease) missed() int {
	if l.phase != phaseLive {
		return 0
	}
	return max(0, int(l.now.Sub(l.anchor.Add(l.grace))/l.interval)-1)
}

// missedAt is when the n-th interval after the anchor's is missed.
func (l Lease) missedAt(n int) time.Time {
	return l.anchor.Add(time.Duration(n+1)*l.interval + l.grace)
}

func (l Lease) maxMissed() int { return int(l.maxUnpaid / l.interval) }

// lapses is when silence ends the lease.
func (l Lease) lapses() time.Time { return l.agreed.Add(l.absentGrace) }

// expire does what deadlines demand that have passed, before anything else is
// looked at.
func (t *turn) expire() {
	if t.Role == Requester {
		t.closeChallenge()
	}
	switch {
	case t.phase == phaseWaiting && t.tooLateToStart():
		t.end(Refused, "not started in time")
	case t.phase == phaseWaiting:
	case !t.now.Before(t.lapses()):
		t.lapse()
	case t.phase == phaseLive && t.Role == Worker:
		t.suspend()
		t.stopAtLimit()
	}
}

// tooLateToStart leaves a requester that challenged in time as long as the
// interval of that challenge is open.
func (l Lease) tooLateToStart() bool {
	return !l.now.Before(l.startBy) && l.requester.open == nil
}

func (t *turn) lapse() {
	reason := "no co-signed beat for too long"
	if t.phase == phaseClosing {
		reason = "the requester did not co-sign the close"
	} else if t.Role == Worker {
		t.stopForEnd()
	}
	t.end(Lapsed, reason)
}

// restate derives the state from what is known, and freezes or thaws the task
// to match.
func (t *turn) restate() {
	if t.phase == phaseEnded {
		return
	}
	if t.Role == Worker {
		t.suspend()
		t.thaw()
	}
	if s := t.derive(); s != t.state {
		t.state, t.changed = s, t.now
	}
}

func (l Lease) derive() State {
	switch missed := l.missed(); {
	case l.phase == phaseWaiting:
		return Waiting
	case l.phase == phaseClosing:
		return Closing
	case missed >= l.maxMissed():
		return Suspended
	case missed > 0:
		return Suspect
	case l.Role == Worker && l.worker.slot.open:
		return AwaitAck
	}
	return Active
}

// Deadline is when a Tick next changes something, and zero when none does.
func (l Lease) Deadline() time.Time {
	var d deadline
	switch l.phase {
	case phaseEnded:
		return time.Time{}
	case phaseWaiting:
		if l.requester.open == nil {
			d.at(l.startBy)
		}
	case phaseLive:
		d.at(l.lapses())
		if n := l.missed(); n < l.maxMissed() {
			d.at(l.missedAt(n + 1))
		}
	case phaseClosing:
		d.at(l.lapses())
		d.at(l.closing.retry)
	}
	if l.Role == Worker {
		d.at(l.limit())
	} else {
		d.at(l.nextChallenge())
	}
	return d.Time
}

// deadline is the earliest of the moments it was shown.
type deadline struct{ time.Time }

func (d *deadline) at(t time.Time) {
	if !t.IsZero() && (d.IsZero() || t.Before(d.Time)) {
		d.Time = t
	}
}
