//go:build linux

package containerd

import (
	"context"
	"io"
	"sync"
	"time"
)

// quiet knows when a program's writers last had something to write.
type quiet struct {
	mu      sync.Mutex
	writing int
	last    time.Time
	over    bool // what comes now is nobody's
}

func newQuiet() *quiet { return &quiet{last: time.Now()} }

// of is w, watched; nil is nobody who wants it.
func (q *quiet) of(w io.Writer) io.Writer {
	if w == nil {
		w = io.Discard
	}
	return watchedWriter{q, w}
}

type watchedWriter struct {
	q *quiet
	w io.Writer
}

func (w watchedWriter) Write(p []byte) (int, error) {
	if !w.q.note(1) {
		return len(p), nil
	}
	defer w.q.note(-1)
	return w.w.Write(p)
}

// note says whether somebody still wants what is written.
func (q *quiet) note(begun int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over && begun > 0 {
		return false
	}
	q.writing += begun
	q.last = time.Now()
	return true
}

// left is for how long nothing more has to come. With nothing left it is over.
func (q *quiet) left() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.writing > 0 {
		return quietFor
	}
	left := quietFor - time.Since(q.last)
	q.over = left <= 0
	return left
}

// await returns when copied has, or nothing was written for a while, or ctx has ended.
func (q *quiet) await(ctx context.Context, copied func()) {
	done := make(chan struct{})
	go func() { copied(); close(done) }()
	q.note(0)
	for left := q.left(); left > 0; left = q.left() {
		t := time.NewTimer(left)
		select {
		case <-done:
		case <-ctx.Done():
		case <-t.C:
			continue
		}
		t.Stop()
		return
	}
}
