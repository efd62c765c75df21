package worker

import (
	"errors"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// A requester numbers the leases it signs for one job. It signs a later one only when
// the earlier can no longer begin or go on for it: an award whose answer was lost, say.
// So whoever has seen the later number takes and starts nothing under an earlier one,
// in whatever order messages come through.

const (
	fenceLife = 48 * time.Hour // longer than an award may wait to be taken up
	maxFences = 8192           // jobs remembered
)

// fence is the highest number seen for a job.
type fence struct {
	number uint64
	until  time.Time
}

// fenceKey names a job of a requester.
func fenceKey(t *leasev1.Terms) string { return string(t.Requester) + string(t.JobId) }

var errFenced = errors.New("a later lease of this job was signed here")

// pass takes in the number of terms that are about to be signed. The caller holds mu.
func (w *Worker) pass(t *leasev1.Terms, now time.Time) error {
	if t.Fence == 0 {
		return nil // not numbered
	}
	if t.Fence <= w.fences[fenceKey(t)].number {
		return refuse(marketv1.DeclineReason_DECLINE_REASON_GONE, "%v", errFenced)
	}
	w.raise(t, now)
	return nil
}

// raise remembers a number. The caller holds mu.
func (w *Worker) raise(t *leasev1.Terms, now time.Time) {
	if len(w.fences) >= maxFences {
		for key, f := range w.fences {
			if f.until.Before(now) {
				delete(w.fences, key)
			}
		}
	}
	if key := fenceKey(t); t.Fence > w.fences[key].number && len(w.fences) < maxFences {
		w.fences[key] = fence{t.Fence, now.Add(fenceLife)}
	}
}

// fenced says whether a later lease of the same job was signed here.
func (w *Worker) fenced(t *leasev1.Terms) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return t.Fence > 0 && t.Fence < w.fences[fenceKey(t)].number
}
