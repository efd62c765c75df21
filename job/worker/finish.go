package worker

import (
	"cmp"
	"context"
	"os"
	"slices"
	"time"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
)

// Retention is how long a task's output waits for a requester that did not
// co-sign the close.
const Retention = 24 * time.Hour

// maxKept bounds how many ended leases' outputs wait at once.
const maxKept = 64

// KindRemoved ends a lease's records: nothing of its task is left here.
const KindRemoved = "worker.removed"

// endGrace is what a task gets between TERM and KILL when its lease ended without agreement.
const endGrace = 10 * time.Second

// finish gives the devices back and keeps the receipt. A requester that
// co-signed the close has all of the task's output; for any other it is kept.
func (n *tenancy) finish(ctx context.Context) {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), endGrace+cleanTimeout)
	defer cancel()
	l := n.session.Lease()
	n.stopTask(ctx, clean)
	n.w.Config.Devices.Release(n.id.String())
	n.settle()
	if r := l.Receipt(); r != nil {
		if err := n.w.Receipts.Keep("worker", r); err != nil {
			n.log.Error("receipt not kept", "err", err)
		}
	}
	if p := l.Equivocation(); p != nil {
		if err := n.w.Receipts.KeepProof("worker", p); err != nil {
			n.log.Error("proof of an equivocation not kept", "err", err)
		}
	}
	if l.State() == lease.Refused {
		n.w.Standing.Strike(n.requester) // it awarded, and never came
	}
	if l.State() != lease.Closed && l.State() != lease.Refused && !n.expire(ctx) {
		return
	}
	n.remove(context.WithoutCancel(ctx))
}

// stopTask ends what still runs, and lets the task's goroutine collect what it can. What cannot
// be stopped before clean ends is stopped when it can be.
func (n *tenancy) stopTask(ctx, clean context.Context) {
	if !n.halt(clean, endGrace) {
		n.w.wg.Go(func() { n.halt(ctx, 0) })
	}
	if n.task == nil {
		return
	}
	n.task.cancel()
	select {
	case <-n.task.done:
	case <-clean.Done():
	}
}

// expire waits out the retention, or until its room is needed; false when ctx
// ended before that.
func (n *tenancy) expire(ctx context.Context) bool {
	n.w.makeRoom()
	timer := time.NewTimer(time.UnixMilli(n.touched.Load()).Add(Retention).Sub(n.w.Now()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-n.evicted:
	}
	return true
}

// makeRoom lets go of the leases that ended longest ago, when there are too many:
// whoever makes leases lapse on purpose fills no disk.
func (w *Worker) makeRoom() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ended []*tenancy
	for _, n := range w.tenancies {
		if n.session.Lease().State().Ended() {
			ended = append(ended, n)
		}
	}
	slices.SortFunc(ended, func(a, b *tenancy) int { return cmp.Compare(b.touched.Load(), a.touched.Load()) })
	for _, n := range ended[min(len(ended), maxKept):] {
		n.evict.Do(func() { close(n.evicted) })
	}
}

// remove deletes all the task left here, and says so in the journal.
func (n *tenancy) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cleanTimeout)
	defer cancel()
	if err := n.w.Runtime.Remove(ctx, taskID(n.id)); err != nil {
		n.log.Warn("remove task; it is tried again at the next start", "err", err)
		return
	}
	if err := os.RemoveAll(n.dir()); err != nil {
		n.log.Warn("remove folders; it is tried again at the next start", "err", err)
		return
	}
	rec := journal.Record{Key: n.id.String(), Kind: KindRemoved, At: n.w.Now()}
	if err := n.w.Journal.Append(rec); err != nil {
		n.log.Warn("record the removal", "err", err)
		return
	}
	n.w.forget(n)
}
