package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// balky is a runtime that does not do at first what it is asked to do: so often.
type balky struct {
	runtime.Runtime
	pauses, resumes, stops *atomic.Int32
}

var errBalky = errors.New("not now")

func balk(b *bench) balky {
	r := balky{nil, new(atomic.Int32), new(atomic.Int32), new(atomic.Int32)}
	b.wrap = func(real runtime.Runtime) runtime.Runtime { return balky{real, r.pauses, r.resumes, r.stops} }
	return r
}

func (r balky) Pause(ctx context.Context, id string) error {
	if r.pauses.Add(-1) >= 0 {
		return errBalky
	}
	return r.Runtime.Pause(ctx, id)
}

func (r balky) Resume(ctx context.Context, id string) error {
	if r.resumes.Add(-1) >= 0 {
		return errBalky
	}
	return r.Runtime.Resume(ctx, id)
}

func (r balky) Stop(ctx context.Context, id string, grace time.Duration) error {
	if r.stops.Add(-1) >= 0 {
		return errBalky
	}
	return r.Runtime.Stop(ctx, id, grace)
}

// taskOf names the task of a lease in the runtime.
func taskOf(lease []byte) string { return worker.TaskID(job.LeaseID(lease).String()) }

// stands wants the runtime to have a task in a state.
func (b *bench) stands(lease []byte, want runtime.State) {
	b.t.Helper()
	if st, err := b.runtime.Status(b.t.Context(), taskOf(lease)); err != nil || st.State != want {
		b.t.Errorf("the task is %v, %v; want %v", st.State, err, want)
	}
}

func TestATaskThatWasToGoOnWhenItsWorkerEndedGoesOnWithTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer func() { b.stop() }()
		defer b.clear()
		s, id := running(b, nil, "sleep 1h")
		time.Sleep(time.Second)
		b.stop()
		if err := b.runtime.Pause(t.Context(), taskOf(id)); err != nil { // as a worker leaves it that wrote the thaw down, and ended
			t.Fatal(err)
		}
		b.start()
		b.connect(s, id)
		time.Sleep(10 * time.Second)
		b.stands(id, runtime.Running)
	})
}

func TestATaskIsFrozenAndThawedThoughTheRuntimeDoesNotDoItAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := balk(b)
		b.start()
		defer b.stop()
		defer b.clear()
		_, id := running(b, nil, "sleep 1h")
		time.Sleep(time.Second)
		r.pauses.Store(2)
		if phase := b.freeze(id, true); phase != leasev1.Phase_PHASE_FROZEN {
			t.Errorf("froze it: %v", phase)
		}
		b.stands(id, runtime.Paused)
		r.resumes.Store(2)
		if phase := b.freeze(id, false); phase != leasev1.Phase_PHASE_RUNNING {
			t.Errorf("thawed it: %v", phase)
		}
		b.stands(id, runtime.Running)
	})
}

func TestWhatIsWishedLastHoldsWhenTheRuntimeDidNotDoWhatWasWishedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := balk(b)
		b.start()
		defer b.stop()
		defer b.clear()
		_, id := running(b, nil, "sleep 1h")
		time.Sleep(time.Second)
		r.pauses.Store(1_000)
		if phase := b.freeze(id, true); phase != leasev1.Phase_PHASE_RUNNING {
			t.Errorf("a task that cannot be frozen: %v", phase)
		}
		b.freeze(id, false)
		time.Sleep(10 * time.Second)
		if left := r.pauses.Load(); left < 900 {
			t.Errorf("asked %d times to pause a task that is to go on", 1_000-left)
		}
		b.stands(id, runtime.Running)
	})
}

func TestATaskThatCannotBeFrozenKeepsNobodyWaitingAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := balk(b)
		b.start()
		defer b.stop()
		s, id := running(b, nil, "sleep 20s", "exit 7")
		time.Sleep(time.Second)
		r.pauses.Store(1 << 30)
		b.freeze(id, true)
		<-s.Done()
		time.Sleep(5 * time.Second)
		if s.Lease().State() != lease.Closed || s.Lease().Exit().GetCode() != 7 || len(b.Leases()) != 0 {
			t.Errorf("%s with %v, still there: %v", s.Lease().State(), s.Lease().Exit(), b.Leases())
		}
	})
}

func TestATaskThatCannotBeStoppedAtFirstIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := balk(b)
		b.start()
		defer b.stop()
		defer b.clear()
		s, id := running(b, nil, "sleep 1h")
		time.Sleep(time.Second)
		r.stops.Store(3)
		if err := b.Yield(job.LeaseID(id).String(), 0, "the owner is back"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if got := s.Lease(); got.State() != lease.Closed || got.Exit().GetSignal() != 15 {
			t.Errorf("%s with %v", got.State(), got.Exit())
		}
	})
}

func TestATaskWhoseLeaseLapsedIsStoppedThoughItCannotBeAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := balk(b)
		b.start()
		defer func() { b.stop() }()
		defer b.clear()
		_, id := running(b, nil, "sleep 10000h")
		time.Sleep(time.Second)
		b.stop() // and its requester hears nothing either
		r.stops.Store(100)
		time.Sleep(time.Hour)
		b.start()
		time.Sleep(time.Hour)
		b.stands(id, runtime.Exited)
	})
}
