package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func ended(code int32) *leasev1.JobEvent {
	return &leasev1.JobEvent{Event: &leasev1.JobEvent_Ended{Ended: &leasev1.JobEnded{Exit: &leasev1.Exit{Code: code}}}}
}

// watched is what a watcher got, told as a list, and the two outputs.
type watched struct {
	events         []string
	stdout, stderr strings.Builder
	lastWasEvent   bool
}

func (w *watched) add(item *controlv1.WatchJobResponse) {
	if c := item.GetChunk(); c != nil {
		out := &w.stdout
		if c.Stderr {
			out = &w.stderr
		}
		out.Write(c.Data)
		w.lastWasEvent = false
		return
	}
	e := item.GetEvent()
	w.lastWasEvent = true
	if end := e.GetEnded(); end != nil {
		w.events = append(w.events, fmt.Sprintf("ended %d", end.Exit.Code))
		return
	}
	w.events = append(w.events, fmt.Sprintf("event %d", e.AtMs))
}

func (w *watched) all(t *testing.T, c *Client, req *controlv1.WatchJobRequest) {
	t.Helper()
	for item, err := range c.Watch(t.Context(), req) {
		if err != nil {
			t.Fatal(err)
		}
		w.add(item)
	}
}

func TestWatchGivesHistoryThenLiveAndTheEndAfterAllOutput(t *testing.T) {
	f := newFakeNode()
	f.events = []*leasev1.JobEvent{{AtMs: 1}, {AtMs: 2}}
	f.stdout, f.stderr = strings.Repeat("out", 100_000), "err"
	f.live <- &leasev1.JobEvent{AtMs: 3}
	f.live <- ended(7)
	close(f.live)
	var w watched
	w.all(t, f.dial(t), &controlv1.WatchJobRequest{JobId: "3f2a", Follow: true})
	if diff := cmp.Diff([]string{"event 1", "event 2", "event 3", "ended 7"}, w.events); diff != "" {
		t.Error(diff)
	}
	if w.stdout.String() != f.stdout || w.stderr.String() != "err" || !w.lastWasEvent {
		t.Errorf("got %d and %d bytes of output, end last: %v", w.stdout.Len(), w.stderr.Len(), w.lastWasEvent)
	}
}

func TestWatchResumesOutputsAtTheirOffsets(t *testing.T) {
	f := newFakeNode()
	f.stdout, f.stderr = "0123456789", "abcdef"
	var w watched
	w.all(t, f.dial(t), &controlv1.WatchJobRequest{JobId: "3f2a", StdoutOffset: 7, StderrOffset: 6, LogsOnly: true})
	if w.stdout.String() != "789" || w.stderr.String() != "" || w.events != nil {
		t.Errorf("stdout %q, stderr %q, events %v", &w.stdout, &w.stderr, w.events)
	}
}

func TestWatchOfEventsAloneSendsNoOutput(t *testing.T) {
	f := newFakeNode()
	f.events, f.stdout = []*leasev1.JobEvent{ended(0)}, "text"
	var w watched
	w.all(t, f.dial(t), &controlv1.WatchJobRequest{JobId: "3f2a", EventsOnly: true})
	if w.stdout.Len() != 0 || len(w.events) != 1 {
		t.Errorf("stdout %q, events %v", &w.stdout, w.events)
	}
}

func TestWatchOfAnUnknownJobIsNotFound(t *testing.T) {
	c := newFakeNode().dial(t)
	for _, req := range []*controlv1.WatchJobRequest{{JobId: "ff"}, {JobId: "ff", LogsOnly: true}, {JobId: "ff", EventsOnly: true}} {
		var last error
		for _, err := range c.Watch(t.Context(), req) {
			last = err
		}
		if !errors.Is(last, ErrNotFound) {
			t.Errorf("%v: %v", req, last)
		}
	}
}

func TestNodeSeesThatAWatcherLeft(t *testing.T) {
	f := newFakeNode()
	f.events = []*leasev1.JobEvent{{AtMs: 1}}
	c := f.dial(t)
	for range c.Watch(t.Context(), &controlv1.WatchJobRequest{JobId: "3f2a", Follow: true}) {
		break
	}
	<-f.left
}

func TestWatchEndsWhenItsCallerCancels(t *testing.T) {
	f := newFakeNode()
	f.events = []*leasev1.JobEvent{{AtMs: 1}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range f.dial(t).Watch(ctx, &controlv1.WatchJobRequest{JobId: "3f2a", Follow: true}) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("watch ended with %v", last)
	}
}

func TestServerThatStopsEndsItsWatches(t *testing.T) {
	f := newFakeNode()
	f.events = []*leasev1.JobEvent{{AtMs: 1}}
	dir := t.TempDir()
	stop := f.serveUntil(t, dir)
	var last error
	for _, err := range mustDial(t, dir).Watch(t.Context(), &controlv1.WatchJobRequest{JobId: "3f2a", Follow: true}) {
		last = err
		if err == nil {
			go stop()
		}
	}
	if !errors.Is(last, ErrStopping) {
		t.Errorf("the watch ended with %v", last)
	}
	stop()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("dial after the end: %v", err)
	}
}

func TestWatchTellsWhenOutputCameAndLeavesOutWhatCameBefore(t *testing.T) {
	f := newFakeNode()
	f.stdout = "abcd"
	c := f.dial(t)
	for _, r := range []struct {
		req  *controlv1.WatchJobRequest
		want string
	}{
		{&controlv1.WatchJobRequest{Times: true, SinceMs: 3000}, "2:c@3000 3:d@4000"},
		{&controlv1.WatchJobRequest{Times: true, SinceMs: 3000, StdoutOffset: 3}, "3:d@4000"},
		{&controlv1.WatchJobRequest{SinceMs: 2000}, "1:bcd@0"},
		{&controlv1.WatchJobRequest{SinceMs: 60_000}, ""},
	} {
		r.req.JobId, r.req.LogsOnly = fakeJob, true
		var got []string
		for item, err := range c.Watch(t.Context(), r.req) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%d:%s@%d", item.GetChunk().GetOffset(), item.GetChunk().GetData(), item.GetCameMs()))
		}
		if strings.Join(got, " ") != r.want {
			t.Errorf("%v: got %q, want %q", r.req, got, r.want)
		}
	}
}
