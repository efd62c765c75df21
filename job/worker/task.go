package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/lease"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

const (
	// sampleEvery is how often a running task is measured for the beats' evidence.
	sampleEvery = time.Second
	// retryEvery is how long a task waits before it tries a fetch or a call again.
	retryEvery = time.Second
	// maxStopGrace bounds what a requester may ask for between TERM and KILL.
	maxStopGrace = 5 * time.Minute
	// cleanTimeout bounds what is cleaned up after a lease ended.
	cleanTimeout = 30 * time.Second
	// freezeTimeout bounds one attempt at a freeze or thaw.
	freezeTimeout = 10 * time.Second
)

// errStopped: the lease ended the task before it ran.
var errStopped = errors.New("stopped before it ran")

// errGone: the runtime knows nothing of a task that ran.
var errGone = errors.New("the task is gone: it was running when this worker last looked")

// task drives the one task of a session: fetch, start, wait, collect. It tells
// the session what happened; it never decides. A nil task is one not begun.
type task struct {
	s       *tenancy
	id      string
	running bool // the journal has its TaskRunning
	done    chan struct{}
	enough  chan struct{} // closed when somebody wants the end of one that has ended

	acts sync.WaitGroup // what was asked of the runtime and is under way

	mu       sync.Mutex
	started  bool
	ended    bool
	frozen   bool      // what the lease wants
	stopping bool      // likewise
	holding  bool      // it is being frozen or thawed
	hurry    sync.Once // closes enough
	grace    time.Duration
	cancel   context.CancelFunc // of the preparation
}

// taskID names a lease's task in the runtime.
func taskID(id job.LeaseID) string { return TaskID(id.String()) }

// startTask begins the task, or takes it up again after a restart.
func (n *tenancy) startTask(ctx context.Context) {
	if n.task != nil {
		return
	}
	t := &task{s: n, id: taskID(n.id), running: n.past.running, frozen: n.session.Lease().Frozen(), done: make(chan struct{}), enough: make(chan struct{})}
	prepare, cancel := context.WithCancel(ctx)
	t.cancel = cancel
	n.task = t
	go t.run(ctx, prepare)
}

// wait returns when the task's goroutines have.
func (t *task) wait() {
	if t != nil {
		<-t.done
		t.acts.Wait()
	}
}

func (t *task) run(ctx, prepare context.Context) {
	defer close(t.done)
	defer t.cancel()
	if !t.running && t.s.w.fenced(t.s.terms) {
		t.failed(ctx, errFenced)
		return
	}
	if err := t.begin(prepare); err != nil {
		if ctx.Err() == nil {
			t.failed(ctx, err)
		}
		return
	}
	if !t.running {
		t.s.session.Post(ctx, lease.TaskRunning{})
	}
	t.adopt(ctx)
	exit, err := t.watch(ctx)
	if err != nil {
		if ctx.Err() == nil {
			t.failed(ctx, err)
		}
		return
	}
	ended := exitOf(exit)
	t.s.log.Info("task ended", "code", ended.Code, "why", job.CauseSentence(ended))
	t.s.session.Post(ctx, lease.TaskEnded{Exit: ended})
	t.sampleEnd(ctx)     // before anybody hears of the end
	t.s.board.notice("") // what the owner did to the task does not matter any more
	t.s.board.enter(leasev1.Phase_PHASE_COLLECTING)
	t.collect(ctx, exit)
}

// begin makes the task run: what is there already is taken up as it is.
func (t *task) begin(ctx context.Context) error {
	switch st, err := t.s.w.Runtime.Status(context.WithoutCancel(ctx), t.id); {
	case err == nil && (t.running || begun(st)):
		return nil
	case err == nil: // this worker was killed before the task ran: what is there is of no use
		if err := t.s.w.Runtime.Remove(context.WithoutCancel(ctx), t.id); err != nil {
			return err
		}
	case !errors.Is(err, runtime.ErrNotFound):
		return err
	case t.running:
		return errGone
	}
	if t.s.short { // it is handed back as it is
		<-ctx.Done()
		return errStopped
	}
	if err := t.fetch(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errStopped
	}
	t.s.board.enter(leasev1.Phase_PHASE_STARTING)
	spec := t.spec()
	var err error
	if spec.Devices, err = t.s.prepareCards(ctx); err != nil {
		return err
	}
	// A start is not cut off: what it had made by then would be nobody's.
	if err := t.s.w.Runtime.Start(context.WithoutCancel(ctx), spec); err != nil && !errors.Is(err, runtime.ErrExists) {
		return err
	}
	return nil
}

// begun says whether a task's program ever ran.
func begun(st runtime.Status) bool {
	return st.State != runtime.Created && (st.State != runtime.Exited || !st.Exit.Started.IsZero())
}

// adopt brings a task that runs to what the lease wants by now.
func (t *task) adopt(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started = true
	t.s.board.enter(leasev1.Phase_PHASE_RUNNING)
	switch {
	case t.stopping:
		t.end(ctx)
	case t.running || t.wantsStill(): // an earlier worker may not have come to it
		t.hold(ctx)
	}
}

// watch measures the task until it ends. A runtime that is away for a moment
// (its daemon was killed, say) is asked again; the task itself does not notice.
func (t *task) watch(ctx context.Context) (runtime.Exit, error) {
	sampling, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { t.sample(sampling) })
	wg.Go(func() { t.obey(sampling) })
	defer func() {
		t.mu.Lock()
		t.ended = true
		t.mu.Unlock()
		stop()
		wg.Wait()
	}()
	for {
		exit, err := t.s.w.Runtime.Wait(ctx, t.id)
		if err == nil || errors.Is(err, runtime.ErrNotFound) {
			return exit, err
		}
		t.s.log.Warn("runtime away while a task runs", "err", err)
		if !pause(ctx, retryEvery) {
			return exit, ctx.Err()
		}
	}
}

// failed reports a task that did not run, or was lost.
func (t *task) failed(ctx context.Context, err error) {
	now := t.s.w.Now().UnixMilli()
	exit := &leasev1.Exit{Code: 125, Error: job.CleanText(err.Error()), Cause: causeOfFailure(err), StartedMs: now, EndedMs: now}
	if !errors.Is(err, errStopped) {
		t.s.log.Warn("task did not run", "why", job.CauseSentence(exit), "err", err)
	}
	t.s.board.end(&leasev1.Ended{Exit: exit})
	t.s.session.Post(ctx, lease.TaskFailed{Exit: exit})
}

// pause waits, and says whether ctx is still good.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
