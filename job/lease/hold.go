package lease

// A task can stand still because the worker's owner wants its device to rest, from
// heat say. That is nobody's fault, and nobody's to pay: no credit is counted
// until it goes on. The lease's own time goes on.

// hold freezes the task, or lets it go on. What is unpaid stays frozen all the same.
func (t *turn) hold(on bool) error {
	switch {
	case t.phase != phaseWaiting && t.phase != phaseLive, t.worker.ended:
		return ErrOutOfOrder
	case t.worker.held == on:
		return ErrStale
	}
	t.worker.held = on
	if on {
		t.holdStill()
	}
	return nil
}

// holdStill freezes a task that runs while it is held.
func (t *turn) holdStill() {
	if !t.worker.held || !t.worker.meter.running() {
		return
	}
	t.worker.meter = t.worker.meter.at(t.now, t.creditLimit()).stop()
	t.worker.frozen = true
	t.do(FreezeTask{})
}

// Held says whether the owner holds the task still.
func (l Lease) Held() bool { return l.worker.held }

// Frozen says whether the task is to stand still, unpaid or held.
func (l Lease) Frozen() bool { return l.worker.frozen }
