package requester

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"iter"
	"os"
	"sync"

	"google.golang.org/protobuf/encoding/protodelim"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// history is what happened to a job, for whoever watches it. It is kept in a
// file so that a watcher sees all of it after a restart; it proves nothing.
type history struct {
	path string

	mu      sync.Mutex
	events  []*leasev1.JobEvent
	over    bool
	changed chan struct{}
}

// openHistory reads what there is. A torn end is left out.
func openHistory(path string) *history {
	h := &history{path: path, changed: make(chan struct{})}
	f, err := os.Open(path)
	if err != nil {
		return h
	}
	defer f.Close()
	r := bufio.NewReader(f)
	good := int64(0)
	for {
		e := &leasev1.JobEvent{}
		if err := protodelim.UnmarshalFrom(r, e); err != nil {
			break
		}
		h.events = append(h.events, e)
		if at, err := f.Seek(0, io.SeekCurrent); err == nil {
			good = at - int64(r.Buffered())
		}
	}
	_ = os.Truncate(path, good)
	return h
}

// add appends an event and wakes whoever watches.
func (h *history) add(e *leasev1.JobEvent) error {
	h.mu.Lock()
	h.events = append(h.events, e)
	h.wake()
	h.mu.Unlock()
	var b bytes.Buffer
	if _, err := protodelim.MarshalTo(&b, e); err != nil {
		return err
	}
	f, err := os.OpenFile(h.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(b.Bytes())
	return err
}

// wake tells watchers to look again. The caller holds mu.
func (h *history) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// end says that nothing more will come.
func (h *history) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	h.wake()
}

func (h *history) from(n int) (events []*leasev1.JobEvent, over bool, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.events[n:], h.over, h.changed
}

// watch gives the events from the beginning; with follow also those to come,
// until the job has ended.
func (h *history) watch(ctx context.Context, follow bool) iter.Seq2[*leasev1.JobEvent, error] {
	return func(yield func(*leasev1.JobEvent, error) bool) {
		for n := 0; ; {
			events, over, changed := h.from(n)
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
			n += len(events)
			if over || !follow {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
	}
}

// Events tells what happened to a job from its beginning; with follow also what
// is to come, until it has ended.
func (r *Requester) Events(ctx context.Context, id string, follow bool) iter.Seq2[*leasev1.JobEvent, error] {
	j, err := r.find(id)
	if err != nil {
		return func(yield func(*leasev1.JobEvent, error) bool) { yield(nil, err) }
	}
	return j.history.watch(ctx, follow)
}
