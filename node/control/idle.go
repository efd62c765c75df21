package control

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// idleness knows how many calls are in progress, and since when there are none.
type idleness struct {
	mu    sync.Mutex
	calls int
	since time.Time // when calls last became 0
}

// count wraps a handler so that its calls are seen.
func (i *idleness) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.calls++
		i.mu.Unlock()
		defer func() {
			i.mu.Lock()
			defer i.mu.Unlock()
			if i.calls--; i.calls == 0 {
				i.since = time.Now()
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// idleFor says for how long no call has been in progress at now; 0 while one is.
func (i *idleness) idleFor(now time.Time) time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.calls > 0 {
		return 0
	}
	return now.Sub(i.since)
}

// WaitIdle blocks until no call has been in progress and busy has been false for d,
// and then returns nil; or until ctx is done. A background requester ends then. busy is
// asked when d has passed, not all the time.
func (s *Server) WaitIdle(ctx context.Context, d time.Duration, busy func() bool) error {
	left := d
	for {
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case now := <-timer.C:
			if busy() {
				left = d
				continue
			}
			if left = d - s.idle.idleFor(now); left <= 0 {
				return nil
			}
		}
	}
}
