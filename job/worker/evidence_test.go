package worker_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// lastEvidence is what the last beat of a receipt, and its close, say.
func lastEvidence(t *testing.T, r *leasev1.Receipt) (beat, end *leasev1.Evidence) {
	t.Helper()
	var b leasev1.Beat
	var c leasev1.Close
	if err := errors.Join(proto.Unmarshal(r.LastBeat.GetPayload(), &b), proto.Unmarshal(r.Close, &c)); err != nil {
		t.Fatal(err)
	}
	return b.Evidence, evidence.Complete(c.Evidence, b.Evidence)
}

func lastAck(t *testing.T, r *leasev1.Receipt) *leasev1.Ack {
	t.Helper()
	var a leasev1.Ack
	if err := proto.Unmarshal(r.LastAck.GetPayload(), &a); err != nil {
		t.Fatal(err)
	}
	return &a
}

func samplesOf(t *testing.T, b *bench, id []byte, e *leasev1.Evidence) [][]byte {
	t.Helper()
	resp, err := b.Samples(sessiontest.Peer(t, requesterKey), &leasev1.SamplesRequest{LeaseId: id, First: e.FirstSample, Count: e.Samples})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Samples
}

func TestSamplesAreOpenedToTheRequesterAlsoAfterTheLeaseAndARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		s, id := running(b, nil, "sleep 30s", "exit 0")
		time.Sleep(12 * time.Second)
		b.stop() // the task runs on; so do its numbers
		time.Sleep(3 * time.Second)
		b.start()
		b.connect(s, id)
		<-s.Done()
		time.Sleep(time.Second)
		b.stop()
		b.start()
		defer b.stop()
		beat, end := lastEvidence(t, b.kept.last())
		for name, e := range map[string]*leasev1.Evidence{"beat": beat, "close": end} {
			if err := evidence.Check(e, samplesOf(t, b, id, e)); err != nil || e.TaskId == "" || e.ImageDigest == "" {
				t.Errorf("%s: %v: %v", name, e, err)
			}
		}
		if all := end.FirstSample + end.Samples; all < 26 || all > 30 { // the last one is of its end
			t.Errorf("%d samples of 30 s, of which nobody looked for 3", all)
		}
		if _, err := b.Samples(sessiontest.Peer(t, strangerKey), &leasev1.SamplesRequest{LeaseId: id, Count: 1}); !errors.Is(err, worker.ErrNoLease) {
			t.Errorf("opened to a stranger: %v", err)
		}
		for _, bad := range [][]byte{nil, id[1:], bytes.Repeat([]byte{1}, 32)} {
			if _, err := b.Samples(sessiontest.Peer(t, requesterKey), &leasev1.SamplesRequest{LeaseId: bad, Count: 1}); !errors.Is(err, worker.ErrNoLease) {
				t.Errorf("lease %x: %v", bad, err)
			}
		}
	})
}

func TestSamplesThatADiskLostLeaveAGapAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		s, id := running(b, nil, "sleep 30s", "exit 0")
		time.Sleep(12 * time.Second)
		b.stop()
		files, err := filepath.Glob(filepath.Join(b.samples, "*"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		if err := os.Truncate(files[0], 67); err != nil { // in the middle of a sample
			t.Fatal(err)
		}
		b.start()
		defer b.stop()
		b.connect(s, id)
		<-s.Done()
		time.Sleep(time.Second)
		_, end := lastEvidence(t, b.kept.last())
		if err := evidence.Check(end, samplesOf(t, b, id, end)); err != nil {
			t.Error(err)
		}
		lost := &leasev1.Evidence{FirstSample: 5, Samples: 1}
		if got := samplesOf(t, b, id, lost); len(got) != 1 || len(got[0]) != 0 {
			t.Errorf("sample 5 is %x; it is lost", got)
		}
	})
}

func TestNoBeatSaysThatATaskRunsWhoseOutputsAreCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.folders = &packing{pack: func(p worker.Packed) (worker.Packed, error) {
			time.Sleep(10 * time.Second)
			return p, nil
		}}
		b.start()
		defer b.stop()
		s, id := running(b, outputs, "sleep 5s", "exit 0")
		<-s.Done()
		time.Sleep(time.Second)
		beat, end := lastEvidence(t, b.kept.last())
		if beat.Running || end.Running || s.Lease().Beats() < 10 {
			t.Errorf("of %d beats the last says %v, the close %v", s.Lease().Beats(), beat, end)
		}
		all := &leasev1.Evidence{Samples: end.FirstSample + end.Samples}
		samples := samplesOf(t, b, id, all)
		for i, sample := range samples {
			if s, err := evidence.Open(sample); err != nil || s.Running != (i < len(samples)-1) {
				t.Errorf("sample %d of %d: %v, %v", i, len(samples), s, err)
			}
		}
	})
}
