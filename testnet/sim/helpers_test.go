package sim

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/job/receipt"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
)

const price = 250_000 // micro-credits per GPU-hour

// submission is a job whose task runs a script, with its image in m's store.
func submission(t *testing.T, m *Machine, script ...string) *leasev1.Submission {
	t.Helper()
	image, blobs := runtimetest.Image("sim")
	for digest, content := range blobs {
		if err := m.Store().Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	return &leasev1.Submission{
		MaxPrice: 2 * price, IntervalMs: 1000, MaxDurationMs: time.Hour.Milliseconds(),
		Spec: &marketv1.Spec{
			Version: 1, Command: script, Name: "sim",
			Image: &marketv1.Image{
				Digest: image.Digest, MediaType: image.MediaType, SizeBytes: uint64(image.Size),
				Platform: image.Platform, TotalBytes: 1, Name: "sim:1",
			},
			Gpu:       &marketv1.Requirement{Count: 1, AllowSimulated: true},
			Resources: &marketv1.Resources{CpuMillis: 1000, MemoryBytes: 64 << 20, Pids: 64},
		},
	}
}

// finish submits a job and follows it to its end.
func finish(t *testing.T, m *Machine, sub *leasev1.Submission) (string, []*leasev1.JobEvent) {
	t.Helper()
	id, err := m.Requester().Submit(t.Context(), sub)
	if err != nil {
		t.Fatal(err)
	}
	return id, follow(t, m, id)
}

func follow(t *testing.T, m *Machine, id string) []*leasev1.JobEvent {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Hour)
	defer cancel()
	var events []*leasev1.JobEvent
	for e, err := range m.Requester().Events(ctx, id, true) {
		if err != nil {
			t.Fatalf("events of job %s: %v; so far %v", id, err, events)
		}
		events = append(events, e)
	}
	return events
}

func ended(t *testing.T, events []*leasev1.JobEvent) *leasev1.JobEnded {
	t.Helper()
	end := events[len(events)-1].GetEnded()
	if end == nil {
		t.Fatalf("the last event is no end: %v", events)
	}
	return end
}

func output(t *testing.T, m *Machine, id string, s runtime.Stream) string {
	t.Helper()
	r, err := m.Requester().Output(t.Context(), id, s, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// settle lets the network of a p2ptest.Bubble find itself.
func settle() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

func receiptOf(t *testing.T, m *Machine, lease string) []byte {
	t.Helper()
	_, b, err := m.Receipt(lease)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tasksOf(t *testing.T, m *Machine) []string {
	t.Helper()
	all, err := m.Runtime.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, st := range all {
		ids = append(ids, st.ID)
	}
	return ids
}

// agreed waits for the worker to hear the co-signature, and gives what both
// sides' receipts say: they must be the same bytes.
func agreed(t *testing.T, requester, worker *Machine, lease string) receipt.Summary {
	t.Helper()
	time.Sleep(10 * time.Second)
	mine, theirs := receiptOf(t, requester, lease), receiptOf(t, worker, lease)
	if !bytes.Equal(mine, theirs) {
		t.Errorf("the two sides hold different receipts")
	}
	s, err := receipt.Verify(mine)
	if err != nil {
		t.Fatalf("receipt: %v", err)
	}
	return s
}

// credited checks that a receipt is about what was served.
func credited(t *testing.T, s receipt.Summary, least, most time.Duration) {
	t.Helper()
	if got := time.Duration(s.CreditMS) * time.Millisecond; got < least || got > most {
		t.Errorf("credit of %s; want %s to %s", got, least, most)
	}
}

// submit submits a job and lets it run for a while.
func submit(t *testing.T, m *Machine, sub *leasev1.Submission, run time.Duration) string {
	t.Helper()
	id, err := m.Requester().Submit(t.Context(), sub)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(run)
	return id
}

// exited checks that a job ended by its task's own exit.
func exited(t *testing.T, events []*leasev1.JobEvent, code int32) *leasev1.JobEnded {
	t.Helper()
	end := ended(t, events)
	if end.Outcome != leasev1.Outcome_OUTCOME_EXITED || end.Exit.GetCode() != code {
		t.Fatalf("ended %v; want exit code %d", end, code)
	}
	return end
}

func troubles(events []*leasev1.JobEvent) []string {
	var codes []string
	for _, e := range events {
		if tr := e.GetTrouble(); tr != nil {
			codes = append(codes, tr.Code)
		}
	}
	return codes
}

func beats(events []*leasev1.JobEvent) int {
	n := 0
	for _, e := range events {
		if e.GetHeartbeat() != nil {
			n++
		}
	}
	return n
}

func leaseEvents(events []*leasev1.JobEvent) int {
	n := 0
	for _, e := range events {
		if e.GetLease() != nil {
			n++
		}
	}
	return n
}
