package worker

import (
	"context"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func (t *task) freeze(ctx context.Context) {
	if t != nil {
		t.s.freezes.Add(1)
	}
	t.want(ctx, true)
}

func (t *task) thaw(ctx context.Context) { t.want(ctx, false) }

// want freezes or thaws a task that runs. One that is still being fetched goes
// on fetching: that is unpaid either way.
func (t *task) want(ctx context.Context, frozen bool) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frozen = frozen
	if t.started && !t.stopping {
		t.hold(ctx)
	}
}

// hold makes the runtime do what the lease and the requester want by the time it gets there, and
// asks it again until it has. The session does not wait for it. The caller holds mu.
func (t *task) hold(ctx context.Context) {
	if t.holding {
		return // it sees what is wanted now
	}
	t.holding = true
	t.acts.Go(func() {
		for {
			if over, err := t.held(ctx); over || err != nil && !pause(ctx, retryEvery) {
				return
			}
		}
	})
}

// held lets the task stand still or go on, and says whether there is no more to do.
func (t *task) held(ctx context.Context) (over bool, err error) {
	t.mu.Lock()
	frozen := t.wantsStill()
	t.holding = !t.stopping && !t.ended
	over = !t.holding
	t.mu.Unlock()
	if over {
		return true, nil
	}
	act, phase := t.s.w.Runtime.Resume, leasev1.Phase_PHASE_RUNNING
	if frozen {
		act, phase = t.s.w.Runtime.Pause, leasev1.Phase_PHASE_FROZEN
	}
	once, cancel := context.WithTimeout(ctx, freezeTimeout)
	defer cancel()
	if err := act(once, t.id); err != nil {
		if ctx.Err() == nil {
			t.s.log.Warn("freeze or thaw task, trying again", "to", phase, "err", err)
		}
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.s.board.enter(phase)
	}
	t.holding = frozen != t.wantsStill()
	return !t.holding, nil
}

// wantsStill says whether the lease or the requester has the task stand still. The caller holds mu.
func (t *task) wantsStill() bool { return t.frozen || t.s.still.Load() }
