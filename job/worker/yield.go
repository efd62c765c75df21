package worker

import (
	"context"
	"time"

	"github.com/rigmesh/rigmesh/job/lease"
)

// yieldGrace is how long a task gets between TERM and KILL when the owner takes
// the machine back.
const yieldGrace = 10 * time.Second

// Yield ends a lease because the owner takes its devices back. The requester is
// told why and when, the task is warned so that it can save its work, and after
// notice it is told to end. Doing it again with less notice hurries it; with more
// it changes nothing. It returns at once; ErrNoLease.
func (w *Worker) Yield(id string, notice time.Duration, why string) error {
	n, ctx, err := w.living(id)
	if err != nil {
		return err
	}
	n.log.Info("the owner takes the devices back", "why", why, "notice", notice)
	w.wg.Go(func() { n.yield(ctx, max(0, notice), why) })
	return nil
}

func (n *tenancy) yield(ctx context.Context, notice time.Duration, why string) {
	end := n.w.Now().Add(notice)
	if !n.board.endsEarlier(end, why) {
		return
	}
	if notice > 0 {
		n.warn(ctx)
	}
	timer := time.NewTimer(notice)
	defer timer.Stop()
	select {
	case <-timer.C:
		n.session.Post(ctx, lease.Yield{Grace: yieldGrace})
	case <-n.session.Over():
	case <-ctx.Done(): // the owner's rules say the same after a restart
	}
}

// warn tells a task that runs to save its work.
func (n *tenancy) warn(ctx context.Context) {
	if err := n.w.Runtime.Warn(ctx, taskID(n.id)); err != nil {
		n.log.Debug("warn task", "err", err)
	}
}

// Hold lets a lease's task stand still, unpaid, or go on. Doing it again changes
// nothing. It returns at once; ErrNoLease.
func (w *Worker) Hold(id string, on bool, why string) error {
	n, ctx, err := w.living(id)
	if err != nil {
		return err
	}
	if n.session.Lease().Held() == on {
		return nil
	}
	n.board.notice(why)
	w.wg.Go(func() { n.session.Post(ctx, lease.Hold{On: on}) })
	return nil
}

// living finds a lease that has not ended, and the life of this worker.
func (w *Worker) living(id string) (*tenancy, context.Context, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, ok := w.tenancies[id]
	if !ok || w.run == nil || n.view().State.Ended() {
		return nil, nil, ErrNoLease
	}
	return n, w.run, nil
}

// TaskID names the task of a lease, by its id, in the runtime.
func TaskID(lease string) string { return "rm-" + lease[:min(24, len(lease))] }
