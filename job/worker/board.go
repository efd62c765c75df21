package worker

import (
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// board shows how a task stands to everyone who follows it. Followers wait on
// the channel of a snapshot; it closes when the next thing changes.
type board struct {
	mu      sync.Mutex
	now     snapshot
	changed chan struct{}
}

// snapshot is one state of a task. ended is set last, once its outputs were collected.
type snapshot struct {
	progress leasev1.Progress
	ended    *leasev1.Ended
}

func newBoard() *board {
	return &board{changed: make(chan struct{}), now: snapshot{progress: leasev1.Progress{Phase: leasev1.Phase_PHASE_WAITING}}}
}

// look gives the present snapshot and a channel that closes when it is out of date.
func (b *board) look() (*leasev1.Progress, *leasev1.Ended, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return proto.CloneOf(&b.now.progress), b.now.ended, b.changed
}

func (b *board) set(change func(*snapshot)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.now)
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *board) enter(p leasev1.Phase) {
	b.set(func(s *snapshot) {
		s.progress.Phase, s.progress.DoneBytes, s.progress.TotalBytes, s.progress.Layer = p, 0, 0, nil
	})
}

// layer says how far a layer is. Whoever waits hears of another layer, or another origin, at
// once, and of more bytes with what was pulled in all.
func (b *board) layer(l *leasev1.Layer) {
	b.mu.Lock()
	was := b.now.progress.Layer
	b.now.progress.Layer = l
	b.mu.Unlock()
	if was.GetDigest() != l.Digest || was.GetOrigin() != l.Origin {
		b.set(func(*snapshot) {})
	}
}

func (b *board) pulled(done, total uint64) {
	b.set(func(s *snapshot) { s.progress.DoneBytes, s.progress.TotalBytes = done, total })
}

// notice says what the owner does to the task; "" takes the word back.
func (b *board) notice(text string) {
	b.set(func(s *snapshot) { s.progress.Notice = job.CleanText(text) })
}

// endsEarlier says when the owner has the task end, unless it ends earlier already.
func (b *board) endsEarlier(at time.Time, why string) (earlier bool) {
	b.set(func(s *snapshot) {
		earlier = s.progress.EndMs == 0 || at.UnixMilli() < s.progress.EndMs
		if earlier {
			s.progress.Notice, s.progress.EndMs = job.CleanText(why), at.UnixMilli()
		}
	})
	return earlier
}

func (b *board) end(e *leasev1.Ended) {
	b.set(func(s *snapshot) { s.progress.Phase, s.ended = leasev1.Phase_PHASE_ENDED, e })
}

func (b *board) phase() leasev1.Phase {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now.progress.Phase
}

func (b *board) exit() *leasev1.Exit {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now.ended.GetExit()
}
