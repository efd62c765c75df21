package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

const (
	// warmStart is what a task with its image at hand takes to start.
	warmStart = 500 * time.Millisecond
	// firstRate is how fast images come, in bytes a second, as long as none has come.
	firstRate = 8 << 20
	// telling is the least that says something about it.
	telling = 1 << 20
	// longestStart bounds what a bid says of a start.
	longestStart = 24 * time.Hour
	// lookTimeout bounds how long an image is looked for here before a bid.
	lookTimeout = time.Second
)

// pace is how fast images came lately, in bytes a second.
type pace struct {
	mu   sync.Mutex
	rate float64 // 0: none has come
}

// note counts an image, or a part of one, that came.
func (p *pace) note(bytes int64, took time.Duration) {
	if bytes < telling || took <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := float64(bytes) / took.Seconds()
	if p.rate > 0 {
		now = (3*p.rate + now) / 4
	}
	p.rate = now
}

// time is how long so many bytes take.
func (p *pace) time(bytes int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	rate := p.rate
	if rate == 0 {
		rate = firstRate
	}
	return min(time.Duration(float64(bytes)/rate*float64(time.Second)), longestStart)
}

// readiness is how much of an announced image is here for its requester, in percent, and how
// long after an award its task would run.
func (w *Worker) readiness(a *marketv1.Announcement) (percent uint32, start time.Duration) {
	have, total := w.held(a)
	if total <= 0 {
		return 0, warmStart
	}
	return uint32(have * 100 / total), warmStart + w.pace.time(total-have)
}

// held is how much of an image is here, and how much there is in all: as the image itself
// says or, where none of it is here, its requester.
func (w *Worker) held(a *marketv1.Announcement) (have, total int64) {
	if store, ok := w.Runtime.(runtime.Images); ok {
		ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
		defer cancel()
		have, total = store.Held(ctx, runtime.Image{Digest: a.ImageDigest, Platform: a.Platform, For: peerOf(a.Requester).String()})
	}
	if total == 0 {
		have, total = w.heldOf(a), int64(a.ImageBytes)
	}
	return min(have, total), total
}

// heldOf is how much of an image that is not here is here all the same, as layers of others.
func (w *Worker) heldOf(a *marketv1.Announcement) (have int64) {
	store, ok := w.Runtime.(runtime.Images)
	if !ok || len(a.ImageBlobs) == 0 {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	all, err := store.Blobs(ctx, peerOf(a.Requester).String())
	if err != nil {
		w.Log.Debug("blobs that are here", "err", err)
	}
	for digest, size := range all {
		if slices.Contains(a.ImageBlobs, job.Mark(digest)) {
			have += size
		}
	}
	return have
}

// nameOf is the name of an image as far as the owner's rules can go by it: where only some
// are allowed, one that no registry vouches for has none.
func (w *Worker) nameOf(i *marketv1.Image) string {
	if w.Policy.Images.Proven() && !i.GetPublic() {
		return ""
	}
	return i.GetName()
}
