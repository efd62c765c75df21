package requester

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"

	"google.golang.org/protobuf/encoding/protodelim"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// maxOfKind bounds how many events of one kind a history takes: most tell of what
// peers do, and a peer can do it again and again. Heartbeats follow a clock of ours.
const maxOfKind = 1000

// history is what happened to a job, for whoever watches it. It is kept in a
// file so that a watcher sees all of it after a restart; it proves nothing.
type history struct {
	path string

	mu      sync.Mutex
	loaded  bool // events holds what the file does
	lacking bool // the file does not hold all of events
	events  []*leasev1.JobEvent
	kinds   map[string]int    // of events
	last    *leasev1.JobEvent // the job's end, once it has ended
	over    bool
	changed chan struct{}
}

func openHistory(path string) *history {
	return &history{path: path, changed: make(chan struct{})}
}

// load reads what there is, when it is first asked for: most jobs are over, and
// nobody looks. A torn end is left out. The caller holds mu.
func (h *history) load() {
	if h.loaded {
		return
	}
	h.loaded, h.kinds = true, map[string]int{}
	f, err := os.Open(h.path)
	if err != nil {
		return
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
		h.kinds[kindOf(e)]++
		if at, err := f.Seek(0, io.SeekCurrent); err == nil {
			good = at - int64(r.Buffered())
		}
	}
	_ = os.Truncate(h.path, good)
}

// unload lets go of what the file holds as well, once nothing more comes. The caller holds mu.
func (h *history) unload() {
	if h.over && !h.lacking {
		h.loaded, h.events, h.kinds = false, nil, nil
	}
}

func kindOf(e *leasev1.JobEvent) string { return fmt.Sprintf("%T", e.Event) }

// add appends an event and wakes whoever watches.
func (h *history) add(e *leasev1.JobEvent) error {
	var b bytes.Buffer
	if _, err := protodelim.MarshalTo(&b, e); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load()
	if h.kinds[kindOf(e)]++; h.kinds[kindOf(e)] > maxOfKind && e.GetHeartbeat() == nil && e.GetEnded() == nil {
		return nil
	}
	h.events = append(h.events, e)
	h.wake()
	err := appendTo(h.path, b.Bytes())
	h.lacking = h.lacking || err != nil
	h.unload()
	return err
}

func appendTo(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// wake tells watchers to look again. The caller holds mu.
func (h *history) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// end says that nothing more will come after the job's end. Where a crash came
// before the file had it, watchers get it all the same.
func (h *history) end(last *leasev1.JobEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over, h.last = true, last
	h.unload()
	h.wake()
}

// ending is the job's end, and nil before.
func (h *history) ending() *leasev1.JobEvent {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// kept is the job's end, once the file holds all that came before it; nil before.
func (h *history) kept() *leasev1.JobEvent {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lacking {
		return nil
	}
	return h.last
}

// from gives the events from number n on, of which the end is the last.
func (h *history) from(n int) (events []*leasev1.JobEvent, over bool, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load()
	defer h.unload()
	if h.over && (len(h.events) == 0 || h.events[len(h.events)-1].GetEnded() == nil) {
		h.events = append(h.events, h.last)
	}
	if n > len(h.events) { // the job was forgotten meanwhile, and the file with it: the end is what is left
		n = len(h.events) - 1
	}
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
