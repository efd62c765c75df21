package worker_test

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// flood gives out a nonce each tenth of a second, for as long as it is heard.
func flood(l session.Link) {
	for i := uint64(0); ; i++ {
		nonce := binary.BigEndian.AppendUint64(make([]byte, 24), i)
		if err := l.Send(&leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Nonce{Nonce: &leasev1.Nonce{Nonce: nonce}}}); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestAWitnessThatGivesOutNoncesAllTheTimeIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var streams, ended atomic.Int32
		b.peers.witness = func(id peer.ID) (session.Link, error) {
			ofWorker, ofWitness := session.Pipe(sessiontest.Peer(t, workerKey), id)
			t.Cleanup(ofWitness.Reset)
			streams.Add(1)
			go func() { flood(ofWitness); ended.Add(1) }()
			return ofWorker, nil
		}
		b.start()
		defer b.stop()
		s, _ := running(b, func(a *attempt) {
			a.terms.Witnesses = [][]byte{sessiontest.Public(sessiontest.Key("witness"))}
		}, "sleep 4m", "exit 0")
		time.Sleep(3 * time.Minute)
		if streams.Load() != 1 || ended.Load() != 1 {
			t.Errorf("%d streams, %d of them ended", streams.Load(), ended.Load())
		}
		<-s.Done()
		if n := b.nonces(); n == 0 || n > 4 {
			t.Errorf("%d nonces in the journal", n)
		}
	})
}

func TestWhatAWitnessOfALaterVersionSaysBesidesIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var streams atomic.Int32
		b.peers.witness = func(id peer.ID) (session.Link, error) {
			ofWorker, ofWitness := session.Pipe(sessiontest.Peer(t, workerKey), id)
			t.Cleanup(ofWitness.Reset)
			streams.Add(1)
			for range 20 {
				if err := ofWitness.Send(sessiontest.Later(&leasev1.WitnessFrame{})); err != nil {
					return nil, err
				}
			}
			nonce := &leasev1.Nonce{Nonce: make([]byte, 32)}
			return ofWorker, ofWitness.Send(&leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Nonce{Nonce: nonce}})
		}
		b.start()
		defer b.stop()
		s, _ := running(b, func(a *attempt) {
			a.terms.Witnesses = [][]byte{sessiontest.Public(sessiontest.Key("witness"))}
		}, "sleep 2m", "exit 0")
		<-s.Done()
		if streams.Load() != 1 || b.nonces() != 1 {
			t.Errorf("%d streams, %d nonces in the journal", streams.Load(), b.nonces())
		}
	})
}

// nonces is how many nonces of witnesses the journal holds.
func (b *bench) nonces() (n int) {
	b.t.Helper()
	for _, rec := range b.journal.Records() {
		if rec.Kind != worker.KindEvent {
			continue
		}
		ev, err := lease.UnmarshalEvent(rec.Event)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, ok := ev.(lease.NonceReceived); ok {
			n++
		}
	}
	return n
}
