package worker

import (
	"encoding/binary"
	"testing"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// However many jobs a worker served, what it signed for the latest counts.
func TestTheLatestJobsAreFenced(t *testing.T) {
	w := New(Config{Key: make([]byte, 64)})
	terms := func(job, number int) *leasev1.Terms {
		return &leasev1.Terms{JobId: binary.BigEndian.AppendUint64(nil, uint64(job)), Fence: uint64(number)}
	}
	for job := range 2*maxFences + 1 {
		if err := w.pass(terms(job, 2)); err != nil {
			t.Fatalf("job %d: %v", job, err)
		}
		if err := w.pass(terms(job, 1)); err == nil || !w.fenced(terms(job, 1)) || w.fenced(terms(job, 2)) {
			t.Fatalf("job %d: an earlier lease is signed after the later", job)
		}
	}
	if n := w.fences.Len(); n != maxFences {
		t.Errorf("%d jobs remembered, not %d", n, maxFences)
	}
}
