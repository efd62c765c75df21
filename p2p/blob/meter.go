package blob

import (
	"context"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Meter counts the bytes of content that are served, and bounds them.
type Meter struct {
	limit *rate.Limiter // nil: no bound
	chunk int64         // bytes at a time
	sent  atomic.Uint64
}

const (
	// pieces are how many chunks go out in a second at the least, so that many who are served at once
	// all hear something in time.
	pieces = 8
	// minChunk is the least that is worth a frame.
	minChunk = 4 << 10
)

// NewMeter makes a meter of at most so many bytes a second, to all peers together; 0: no bound.
func NewMeter(perSecond uint64) *Meter {
	m := &Meter{chunk: chunk}
	if perSecond > 0 {
		m.chunk = int64(min(chunk, max(minChunk, perSecond/pieces)))
		m.limit = rate.NewLimiter(rate.Limit(perSecond), int(m.chunk))
	}
	return m
}

// Sent is how many bytes were served so far.
func (m *Meter) Sent() uint64 { return m.sent.Load() }

// take waits until so many bytes, at most a chunk, may go out.
func (m *Meter) take(ctx context.Context, n int) error {
	if m.limit != nil {
		if err := m.limit.WaitN(ctx, n); err != nil {
			return err
		}
	}
	m.sent.Add(uint64(n))
	return nil
}
