package requester

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Forget removes what this node shows of a job that has ended: its place in lists, its
// history and its output. Its receipt stays, and what the journal holds of its lease: the
// worker may still wait for our signature. ErrNoJob, ErrAmbiguous, ErrLive.
func (r *Requester) Forget(ctx context.Context, id string) error {
	j, err := r.find(id)
	if err != nil {
		return err
	}
	if !j.over() {
		return fmt.Errorf("%s: %w", j.id, ErrLive)
	}
	if err := j.record(ctx, KindForget, nil, nil); err != nil {
		return err
	}
	j.forgotten.Store(true) // one whose lease still lives goes with that
	r.mu.Lock()
	delete(r.remnants, j.id)
	if j.lease() == nil {
		delete(r.runs, j.id.String())
	}
	r.mu.Unlock()
	if err := os.RemoveAll(filepath.Join(r.Dir, j.id.String())); err != nil {
		return fmt.Errorf("remove the output of job %s: %w", j.id, err)
	}
	return nil
}
