package worker

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
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
	kept := n.keep(ctx)
	if l.State() == lease.Refused && l.Changed().UnixMilli() >= n.terms.StartByMs && !n.restored {
		n.w.Standing.Strike(n.requester) // it awarded, and never came
	}
	if l.State() != lease.Closed && l.State() != lease.Refused && !n.expire(ctx) {
		return
	}
	n.remove(ctx, kept)
}

// keep hands the receipt to whoever keeps those, and again until ctx ends while the disk has no
// room for it. kept is closed when there is no more to do about it; other trouble of the disk is
// over at the next start.
func (n *tenancy) keep(ctx context.Context) (kept <-chan struct{}) {
	done := make(chan struct{})
	err := n.keepOnce()
	if err != nil {
		n.log.Error("receipt not kept", "err", err)
	}
	if !journal.IsFull(err) {
		if !ofTheDisk(err) {
			close(done)
		}
		return done
	}
	n.w.wg.Go(func() {
		if err := journal.InsistOn(ctx, n.keepOnce, func(error) {}); !ofTheDisk(err) {
			close(done)
		}
	})
	return done
}

// ofTheDisk says whether the system did not do what it was asked: what is wrong in itself stays so.
func ofTheDisk(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno)
}

func (n *tenancy) keepOnce() error { return n.session.Keep(n.w.Receipts) }

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

// remove deletes all the task left here, and says so in the journal once the receipt is kept:
// nobody looks at the lease again after that.
func (n *tenancy) remove(ctx context.Context, kept <-chan struct{}) {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	if err := n.w.Runtime.Remove(clean, taskID(n.id)); err != nil {
		n.log.Warn("remove task; it is tried again at the next start", "err", err)
		return
	}
	if err := os.RemoveAll(n.dir()); err != nil {
		n.log.Warn("remove folders; it is tried again at the next start", "err", err)
		return
	}
	if !closes(ctx, kept) {
		n.log.Warn("the receipt is not kept; it is tried again at the next start")
		return
	}
	rec := journal.Record{Key: n.id.String(), Kind: KindRemoved, At: n.w.Now()}
	if err := n.w.Journal.Append(rec); err != nil {
		n.log.Warn("record the removal", "err", err)
		return
	}
	n.w.forget(n)
}

// closes waits for a channel to close; false when ctx ended before that.
func closes(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
	}
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}
