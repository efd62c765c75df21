package lease

import "time"

// The requester numbers intervals from its own start. Interval k is open until
// its end plus grace; after that no beat for it is acked. The worker does not
// know that start, so it counts from the arrival of the last challenge whose
// beat is co-signed: by when the next one has to be there at the latest.
//
// Where the terms have a first interval, intervals are that short until an ack
// credits something, so that a stranger who never pays has little for nothing.

// pace is how long intervals are on one side now, and how long they stay open
// after their end.
func (l Lease) pace() (interval, grace time.Duration) {
	if l.settled {
		return l.interval, l.grace
	}
	return l.first, min(l.grace, l.first/4)
}

// latest is how far into an interval its challenge is made at the latest.
func latest(interval time.Duration) time.Duration { return interval * 6 / 10 }

// settle makes intervals as long as the terms have them once an ack has credited
// something: those that begin at a moment with the given number.
func (t *turn) settle(interval uint64, at time.Time) {
	if !t.settled && t.chain.creditMS > 0 {
		t.settled, t.longFrom, t.longAt = true, interval, at
	}
}

// intervalAt is the interval that a moment falls into. On the worker it is a
// bound: no requester can be further.
func (l Lease) intervalAt(at time.Time) uint64 {
	if l.Role == Requester && l.settled && !at.Before(l.longAt) {
		return l.longFrom + uint64(at.Sub(l.longAt)/l.interval)
	}
	return uint64(max(0, at.Sub(l.start)) / l.first)
}

// begins is when an interval begins, on the requester.
func (l Lease) begins(interval uint64) time.Time {
	from, at, length := uint64(0), l.start, l.first
	if l.settled && interval >= l.longFrom {
		from, at, length = l.longFrom, l.longAt, l.interval
	}
	const far = 1 << 62 // beyond every term, and no overflow in a product
	if interval-from > uint64(far/int64(length)) {
		return at.Add(far)
	}
	return at.Add(time.Duration(interval-from) * length)
}

// closes is the moment from which on a beat for the interval is not acked.
func (l Lease) closes(interval uint64) time.Time {
	grace := l.grace
	if !l.settled || interval < l.longFrom {
		grace = min(l.grace, l.first/4)
	}
	return l.begins(interval + 1).Add(grace)
}

// missed is how many intervals closed since the last that was co-signed in, which
// ended at anchor.
func (l Lease) missed() int {
	if l.phase != phaseLive {
		return 0
	}
	interval, grace := l.pace()
	return max(0, int(l.now.Sub(l.anchor.Add(grace))/interval))
}

// missedAt is when the n-th interval after that one is missed.
func (l Lease) missedAt(n int) time.Time {
	interval, grace := l.pace()
	return l.anchor.Add(time.Duration(n)*interval + grace)
}

// maxUnpaid is the credit that may be unpaid at once.
func (l Lease) maxUnpaid() uint64 {
	interval, _ := l.pace()
	return uint64(l.maxMissed) * uint64(interval.Milliseconds())
}

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
	case missed >= l.maxMissed || l.unpaid():
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
		if n := l.missed(); n < l.maxMissed {
			d.at(l.missedAt(n + 1))
		}
		d.at(l.suspends())
	case phaseClosing:
		d.at(l.lapses())
		d.at(l.closing.retry)
	}
	if l.Role == Worker {
		d.at(l.limit())
	} else {
		d.at(l.nextChallenge())
	}
	if d.IsZero() {
		return d.Time
	}
	return exact(d.Add(time.Millisecond - 1)) // Step sees whole milliseconds
}

// deadline is the earliest of the moments it was shown.
type deadline struct{ time.Time }

func (d *deadline) at(t time.Time) {
	if !t.IsZero() && (d.IsZero() || t.Before(d.Time)) {
		d.Time = t
	}
}
