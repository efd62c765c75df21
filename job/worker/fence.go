package worker

import (
	"errors"

	lru "github.com/hashicorp/golang-lru/v2"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// A requester numbers the leases it signs for one job. It signs a later one only when
// the earlier can no longer begin or go on for it: an award whose answer was lost, say.
// So whoever has seen the later number takes and starts nothing under an earlier one,
// in whatever order messages come through.

// maxFences bounds for how many jobs that is remembered. The job without a new lease for longest
// is forgotten first: awards are taken for BidLife, and a lease that nothing begins lapses.
const maxFences = 8192

// fences are the highest numbers signed, by job.
type fences = lru.Cache[string, uint64]

func newFences() *fences {
	f, err := lru.New[string, uint64](maxFences)
	if err != nil {
		panic(err) // only a size below one
	}
	return f
}

// fenceKey names a job of a requester.
func fenceKey(t *leasev1.Terms) string { return string(t.Requester) + string(t.JobId) }

var errFenced = errors.New("a later lease of this job was signed here")

// pass takes in the number of terms that are about to be signed. The caller holds mu.
func (w *Worker) pass(t *leasev1.Terms) error {
	if t.Fence == 0 {
		return nil // not numbered
	}
	if highest, _ := w.fences.Peek(fenceKey(t)); t.Fence <= highest {
		return refuse(marketv1.DeclineReason_DECLINE_REASON_GONE, "%v", errFenced)
	}
	w.raise(t)
	return nil
}

// raise remembers a number.
func (w *Worker) raise(t *leasev1.Terms) {
	if highest, _ := w.fences.Peek(fenceKey(t)); t.Fence > highest {
		w.fences.Add(fenceKey(t), t.Fence)
	}
}

// fenced says whether a later lease of the same job was signed here.
func (w *Worker) fenced(t *leasev1.Terms) bool {
	highest, _ := w.fences.Peek(fenceKey(t))
	return t.Fence > 0 && t.Fence < highest
}
