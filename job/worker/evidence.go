package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/evidence"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// shortTaskID is how much of a task's name stands in evidence: a lease has one, and every
// receipt carries it.
const shortTaskID = len("rm-") + 8

const (
	// MaxSamples is how many samples one request may ask for.
	MaxSamples = 4096
	// maxResponse bounds their bytes in one response.
	maxResponse = 128 << 10
)

func (w *Worker) samplesPath(id job.LeaseID) string { return filepath.Join(w.SamplesDir, id.String()) }

// openSamples makes the lease's samples ready to be added to.
func (n *tenancy) openSamples() (*samples, error) {
	if err := os.MkdirAll(n.w.SamplesDir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of samples: %w", err)
	}
	s, err := openSamples(n.w.samplesPath(n.id), n.terms.Requester)
	if err != nil {
		return nil, err
	}
	if err := s.fill(n.session.Lease().Sampled()); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if last, err := evidence.Open(s.newest()); err == nil {
		n.freezes.Add(last.GetFreezes()) // those of before a restart
	}
	n.samples.Store(s)
	return s, nil
}

// closeSamples lets go of the file. What is asked for later is read from it anew.
func (n *tenancy) closeSamples() {
	if s := n.samples.Swap(nil); s != nil {
		_ = s.close()
	}
}

// sample looks at the task and its devices once a second, until ctx ends.
func (t *task) sample(ctx context.Context) {
	kept, err := t.s.openSamples()
	if err != nil {
		t.s.log.Warn("no evidence is kept", "err", err)
		return
	}
	t.s.awaitReadings(ctx)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if st, err := t.s.w.Runtime.Status(ctx, t.id); err == nil {
			t.s.keepSample(ctx, kept, st)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sampleEnd looks a last time, at a task that has ended: a beat may be due while its
// outputs are collected, and must not say that it runs.
func (t *task) sampleEnd(ctx context.Context) {
	kept := t.s.samples.Load()
	if kept == nil {
		return
	}
	if last, err := evidence.Open(kept.newest()); err == nil && !last.GetRunning() {
		return // seen already, or never looked at
	}
	ctx, cancel := context.WithTimeout(ctx, sampleEvery)
	defer cancel()
	st, _ := t.s.w.Runtime.Status(ctx, t.id) // without it what it took so far is known
	st.State = runtime.Exited
	t.s.keepSample(ctx, kept, st)
}

func (n *tenancy) keepSample(ctx context.Context, kept *samples, st runtime.Status) {
	if err := n.addSample(ctx, kept, st); err != nil {
		n.log.Warn("sample", "err", err)
	}
}

func (n *tenancy) addSample(ctx context.Context, kept *samples, st runtime.Status) error {
	before, err := evidence.Open(kept.newest())
	if err != nil {
		return err
	}
	s := &leasev1.Sample{
		AtMs: n.w.Now().UnixMilli(), Running: st.State == runtime.Running, Freezes: n.freezes.Load(),
		CpuMs: uint64(st.CPUTime.Milliseconds()), MemoryBytes: st.MemoryBytes,
	}
	n.loaded(before, s)
	n.readDevices(ctx, s)
	evidence.Accumulate(before, s)
	b, err := evidence.Marshal(s)
	if err != nil {
		return err
	}
	return kept.add(b)
}

// evidence is what a beat, or the close, says of the samples from number first
// on: without any, what is to run.
func (n *tenancy) evidence(first uint64) *leasev1.Evidence {
	e := &leasev1.Evidence{FirstSample: first}
	if kept := n.samples.Load(); kept != nil {
		now, err := summarize(kept, first)
		if err == nil {
			e = now
		} else {
			n.log.Warn("evidence", "err", err)
		}
	}
	e.TaskId, e.ImageDigest = taskID(n.id)[:shortTaskID], n.spec.Image.Digest
	return e
}

// summarize says what was so far, and nothing new, when there are no new samples.
func summarize(kept *samples, first uint64) (*leasev1.Evidence, error) {
	list, err := kept.read(first, kept.size(), 1<<62)
	if err != nil || len(list) > 0 || kept.newest() == nil {
		return summary(first, list, err)
	}
	e, err := evidence.Summarize(first, [][]byte{kept.newest()})
	if err != nil {
		return nil, err
	}
	e.Samples, e.SamplesRoot = 0, nil
	return e, nil
}

func summary(first uint64, list [][]byte, err error) (*leasev1.Evidence, error) {
	if err != nil {
		return nil, err
	}
	return evidence.Summarize(first, list)
}

// Samples opens samples that a beat committed to, to the requester of its lease,
// also when the lease has ended. None are given once they are not kept any more.
func (w *Worker) Samples(from peer.ID, req *leasev1.SamplesRequest) (*leasev1.SamplesResponse, error) {
	var id job.LeaseID
	key, err := job.PublicKey(from)
	if err != nil || copy(id[:], req.LeaseId) != len(req.LeaseId) || len(req.LeaseId) != len(id) {
		return nil, ErrNoLease
	}
	count := min(req.Count, MaxSamples)
	if n, err := w.tenancy(id[:], from); err == nil && n.samples.Load() != nil {
		list, err := n.samples.Load().read(req.First, count, maxResponse)
		return &leasev1.SamplesResponse{Samples: list}, err
	}
	list, err := readSamples(w.samplesPath(id), key, req.First, count)
	return &leasev1.SamplesResponse{Samples: list}, err
}

// readSamples reads samples of a lease that has ended.
func readSamples(path string, requester []byte, first, count uint64) ([][]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoLease
	}
	if err != nil {
		return nil, fmt.Errorf("samples: %w", err)
	}
	defer f.Close()
	header := make([]byte, samplesHeader)
	if _, err := f.ReadAt(header, 0); err != nil || !bytes.Equal(header, append([]byte(samplesMagic), requester...)) {
		return nil, ErrNoLease // somebody else's lease gives the same answer as none
	}
	in := newSampleReader(f, int64(samplesHeader))
	var out [][]byte
	for n, size := uint64(0), 0; n < first+count; n++ {
		b, err := in.next()
		if err != nil {
			break // the end
		}
		if n < first {
			continue
		}
		if size += len(b) + 8; size > maxResponse && len(out) > 0 {
			break
		}
		out = append(out, b)
	}
	return out, nil
}

// sweep removes the samples of leases that ended long ago, now and once an hour.
func (w *Worker) sweep(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := sweepSamples(w.SamplesDir, w.Now()); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.Log.Warn("remove old samples", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
