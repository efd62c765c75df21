package worker_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// freeze asks for it as the requester.
func (b *bench) freeze(lease []byte, frozen bool) leasev1.Phase {
	b.t.Helper()
	resp, err := b.Freeze(b.t.Context(), sessiontest.Peer(b.t, requesterKey), &leasev1.FreezeRequest{LeaseId: lease, Frozen: frozen})
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.Phase
}

func TestATaskThatItsRequesterFreezesStandsStillAndIsPaidFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer func() { b.stop() }()
		defer b.clear()
		s, id := running(b, nil, "sleep 5s", "sleep 5s", "exit 7") // two: the first is over as soon as it is thawed
		time.Sleep(time.Second)
		for range 2 { // saying it twice is no harm
			if phase := b.freeze(id, true); phase != leasev1.Phase_PHASE_FROZEN {
				t.Fatalf("froze it: %v", phase)
			}
		}
		time.Sleep(time.Minute)
		before := s.Lease().CreditMS()
		if s.Lease().State().Ended() || before < 40_000 {
			t.Errorf("after a minute: %v, %d ms credited", s.Lease().State(), before)
		}
		b.stop()
		b.start() // a worker that comes back has not forgotten
		b.connect(s, id)
		time.Sleep(30 * time.Second)
		if s.Lease().State().Ended() {
			t.Error("the task went on with its worker's restart")
		}
		if phase := b.freeze(id, false); phase != leasev1.Phase_PHASE_RUNNING {
			t.Errorf("thawed it: %v", phase)
		}
		<-s.Done()
		time.Sleep(time.Second)
		if exit := b.kept.last().GetClose(); exit == nil {
			t.Error("no receipt with an end")
		}
		if resp, err := b.Freeze(t.Context(), sessiontest.Peer(t, requesterKey), &leasev1.FreezeRequest{LeaseId: id, Frozen: true}); err == nil && resp.Phase != leasev1.Phase_PHASE_ENDED {
			t.Errorf("a task that has ended was frozen: %v", resp)
		}
	})
}

func TestNobodyElseFreezesATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		_, id := running(b, nil, "sleep 1h")
		time.Sleep(time.Second)
		stranger := sessiontest.Peer(t, sessiontest.Key("stranger"))
		if resp, err := b.Freeze(t.Context(), stranger, &leasev1.FreezeRequest{LeaseId: id, Frozen: true}); !errors.Is(err, worker.ErrNoLease) {
			t.Errorf("%v, %v", resp, err)
		}
	})
}

func TestARequesterThatCannotMakeUpItsMindFillsNoJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		defer b.stop()
		defer b.clear()
		_, id := running(b, nil, "sleep 1h")
		time.Sleep(time.Second)
		const wishes = 40
		began := time.Now()
		for i := range wishes {
			b.freeze(id, i%2 == 0)
		}
		written := 0
		for _, rec := range b.journal.Records() {
			if rec.Kind == worker.KindStill {
				written++
			}
		}
		if took := time.Since(began); written != wishes || took < 2*time.Minute {
			t.Errorf("%d wishes were written down in %s", written, took)
		}
	})
}
