package worker

import (
	"context"
	"errors"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
)

// stop ends the task politely, then for good. It does not wait for the end:
// whoever waits for the task sees it.
func (t *task) stop(ctx context.Context, grace time.Duration) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopping, t.grace = true, grace
	switch {
	case t.ended:
		t.hurry.Do(func() { close(t.enough) })
	case t.started:
		t.end(ctx)
	default:
		t.cancel()
	}
}

// end stops a started task. The caller holds mu.
func (t *task) end(ctx context.Context) {
	grace := t.grace
	t.acts.Go(func() { t.s.halt(ctx, grace) })
}

// halt stops the task of a lease, and asks the runtime again until it has ended or ctx has: one
// that runs on is paid by nobody. It says whether the task has ended.
func (n *tenancy) halt(ctx context.Context, grace time.Duration) bool {
	by := n.w.Now().Add(grace)
	for {
		err := n.haltOnce(ctx, min(grace, max(0, by.Sub(n.w.Now()))))
		if err == nil || errors.Is(err, runtime.ErrNotFound) {
			return true
		}
		if ctx.Err() == nil {
			n.log.Warn("stop task, trying again", "err", err)
		}
		if !pause(ctx, retryEvery) {
			return false
		}
	}
}

func (n *tenancy) haltOnce(ctx context.Context, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace+cleanTimeout)
	defer cancel()
	_ = n.w.Runtime.Resume(ctx, taskID(n.id)) // a frozen task cannot hear TERM; a running one is not frozen
	return n.w.Runtime.Stop(ctx, taskID(n.id), grace)
}
