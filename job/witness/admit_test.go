package witness_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/job/witness"
)

// numbered is a lease of a device and a worker of its own.
func numbered(t *testing.T, worker ed25519.PrivateKey, n int) *pair {
	t.Helper()
	return newPairOf(t, worker, func(terms *leasev1.Terms) {
		tag := statement.GPUTag("test", string(binary.BigEndian.AppendUint32(worker.Seed(), uint32(n))))
		terms.GpuTags[0], terms.WorkerNonce = tag[:], tag[:16]
	})
}

// over says that a lease has ended, and waits until that is known.
func (p *pair) over(link *session.PipeEnd) {
	p.t.Helper()
	p.send(link, &leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Over{Over: &leasev1.Over{}}})
	synctest.Wait()
	link.Reset()
}

// left begins a stream for the lease, and lets go of it.
func (p *pair) left(w *witness.Witness) {
	p.t.Helper()
	link := p.ask(w)
	synctest.Wait()
	link.Reset()
}

func TestAWorkerThatOnlyBeginsAndEndsLeasesFillsNeitherMemoryNorJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &sessiontest.Journal{}
		w := newWitness(t, kept)
		for n := range witness.MaxWorkerRemember {
			p := numbered(t, workerKey, n)
			p.over(p.ask(w))
		}
		for n := range 50 {
			no := hear(t, numbered(t, workerKey, witness.MaxWorkerRemember+n).ask(w)).GetRefused()
			if no.GetReason() != leasev1.WatchRefusal_WATCH_REFUSAL_BUSY {
				t.Fatalf("one more lease than is remembered: %v", no)
			}
		}
		if got := w.Remembered(); got != witness.MaxWorkerRemember {
			t.Errorf("%d leases are remembered, want %d", got, witness.MaxWorkerRemember)
		}
		if got, most := len(kept.Records()), 2*witness.MaxWorkerRemember; got > most {
			t.Errorf("%d records in the journal, want at most %d", got, most)
		}
	})
}

func TestOneWorkerLeavesRoomForTheLeasesOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWitness(t, &sessiontest.Journal{})
		for n := range witness.MaxWorkerLeases {
			numbered(t, workerKey, n).left(w) // a stream that is gone keeps its lease watched
		}
		no := hear(t, numbered(t, workerKey, witness.MaxWorkerLeases).ask(w)).GetRefused()
		if no.GetReason() != leasev1.WatchRefusal_WATCH_REFUSAL_BUSY {
			t.Errorf("lease %d of one worker: %v", witness.MaxWorkerLeases+1, no)
		}
		if f := hear(t, numbered(t, sessiontest.Key("another worker"), 0).ask(w)); f.GetNonce() == nil {
			t.Errorf("another worker's lease is not watched: %v", f)
		}
	})
}

func TestALeaseThatMustHaveEndedIsNotWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWitness(t, &sessiontest.Journal{})
		p := newPair(t, nil)
		terms := p.worker.Agreement.Terms
		longest := time.Duration(terms.MaxDurationMs+terms.AbsentGraceMs) * time.Millisecond
		time.Sleep(time.Until(time.UnixMilli(terms.StartByMs)) + longest)
		if f := hear(t, p.ask(w)); f.GetNonce() == nil {
			t.Errorf("a lease that may still be served: %v", f)
		}
		time.Sleep(time.Hour)
		no := hear(t, p.ask(newWitness(t, &sessiontest.Journal{}))).GetRefused()
		if no.GetReason() != leasev1.WatchRefusal_WATCH_REFUSAL_INVALID {
			t.Errorf("terms of long ago: %v", no)
		}
	})
}

func TestAWitnessThatStartsAgainRemembersOnlyLeasesThatMayBeAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &sessiontest.Journal{}
		w := newWitness(t, kept)
		first := numbered(t, workerKey, 1)
		first.over(first.ask(w))
		numbered(t, workerKey, 2).left(w)
		time.Sleep(2 * time.Hour) // longer than the grace of both and two periods
		numbered(t, workerKey, 3).left(w)
		if got := newWitness(t, kept).Remembered(); got != 1 {
			t.Errorf("%d leases are remembered, want the living one", got)
		}
	})
}
