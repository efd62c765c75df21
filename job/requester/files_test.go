package requester

import (
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func offered(n uint32) *leasev1.JobEvent {
	return &leasev1.JobEvent{AtMs: int64(n), Event: &leasev1.JobEvent_Searching{Searching: &leasev1.Searching{Offers: n}}}
}

func offers(t *testing.T, h *history) []uint32 {
	t.Helper()
	var got []uint32
	for e, err := range h.watch(t.Context(), false) {
		if err != nil {
			t.Fatal(err)
		}
		if s := e.GetSearching(); s != nil {
			got = append(got, s.Offers)
		}
	}
	return got
}

func TestAHistorySurvivesATornEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	h := openHistory(path)
	for n := range uint32(3) {
		if err := h.add(offered(n + 1)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := offers(t, openHistory(path))
		again := openHistory(path)
		if err := again.add(offered(9)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append(want, 9), offers(t, openHistory(path))); diff != "" {
			t.Errorf("cut at %d: %s", cut, diff)
		}
	}
}

func TestAWatcherGetsTheEndThatACrashKeptFromTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	if err := openHistory(path).add(offered(1)); err != nil {
		t.Fatal(err)
	}
	h := openHistory(path)
	h.end(&leasev1.JobEvent{Event: &leasev1.JobEvent_Ended{Ended: &leasev1.JobEnded{Sentence: "done"}}})
	var last *leasev1.JobEvent
	for e, err := range h.watch(t.Context(), true) {
		if err != nil {
			t.Fatal(err)
		}
		last = e
	}
	if last.GetEnded().GetSentence() != "done" {
		t.Errorf("the last event is %v", last)
	}
}

func TestAWatcherSeesWhatComesLaterUntilTheEnd(t *testing.T) {
	h := openHistory(filepath.Join(t.TempDir(), "history"))
	got := make(chan int)
	go func() {
		n := 0
		for range h.watch(context.Background(), true) {
			n++
			got <- n
		}
		close(got)
	}()
	_ = h.add(offered(1))
	<-got
	_ = h.add(offered(2))
	<-got
	last := &leasev1.JobEvent{Event: &leasev1.JobEvent_Ended{Ended: &leasev1.JobEnded{}}}
	_ = h.add(last)
	<-got
	h.end(last)
	if n, more := <-got; more {
		t.Errorf("event %d after the end", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	open := openHistory(filepath.Join(t.TempDir(), "history"))
	for _, err := range open.watch(ctx, true) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a watcher that left got %v", err)
		}
	}
}

func TestAWatcherThatPausesWhileTheJobIsForgottenGetsItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	h := openHistory(path)
	for n := range uint32(3) {
		_ = h.add(offered(n))
	}
	next, stop := iter.Pull2(h.watch(t.Context(), true))
	defer stop()
	for range 3 {
		_, _, _ = next()
	}
	last := &leasev1.JobEvent{Event: &leasev1.JobEvent_Ended{Ended: &leasev1.JobEnded{}}}
	_ = h.add(last)
	h.end(last)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if e, err, more := next(); !more || err != nil || e.GetEnded() == nil {
		t.Errorf("after three events of a forgotten job: %v, %v", e, err)
	}
	if e, _, more := next(); more {
		t.Errorf("after the end: %v", e)
	}
}

func TestAHistoryDoesNotGrowWithoutEndByWhatPeersDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	h := openHistory(path)
	beat := &leasev1.JobEvent{Event: &leasev1.JobEvent_Heartbeat{Heartbeat: &leasev1.Heartbeat{}}}
	for n := range uint32(maxOfKind + 10) {
		_, _ = h.add(offered(n)), h.add(beat)
	}
	for _, h := range []*history{h, openHistory(path)} {
		events, _, _ := h.from(0)
		if n := len(offers(t, h)); n != maxOfKind || len(events) != 2*maxOfKind+10 {
			t.Errorf("%d of %d events are searches; want %d, and every heartbeat", n, len(events), maxOfKind)
		}
	}
}

func TestALogTakesWhatComesNextAndNothingElse(t *testing.T) {
	l := openLog(filepath.Join(t.TempDir(), "stdout"), nil)
	for _, c := range []struct {
		offset int64
		data   string
		want   string
		fails  bool
	}{
		{1, "x", "", true}, // a gap
		{math.MinInt64, "x", "", true},
		{-1, "xy", "", true},
		{0, "hello", "hello", false},
		{0, "hello", "hello", false}, // again
		{3, "lo w", "hello w", false},
		{2, "l", "hello w", false},
		{9, "x", "hello w", true},
		{7, "orld", "hello world", false},
		{11, "", "hello world", false},
		{math.MaxInt64, "x", "hello world", true},
	} {
		err := l.write(c.offset, []byte(c.data))
		if (err != nil) != c.fails {
			t.Errorf("write %q at %d: %v", c.data, c.offset, err)
		}
		if b, _ := os.ReadFile(l.path); string(b) != c.want {
			t.Errorf("after %q at %d the log is %q, want %q", c.data, c.offset, b, c.want)
		}
	}
}

func TestALogDoesNotGrowWithoutEnd(t *testing.T) {
	l := openLog(filepath.Join(t.TempDir(), "stdout"), nil)
	if err := l.write(0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(l.path, maxOutput-2); err != nil { // a hole takes no room
		t.Fatal(err)
	}
	for _, offset := range []int64{maxOutput - 2, maxOutput + 2, 0} {
		if err := l.write(offset, []byte("four")); err != nil {
			t.Errorf("write at %d: %v", offset, err)
		}
	}
	if l.size() != maxOutput {
		t.Errorf("%d bytes, want %d", l.size(), maxOutput)
	}
}

func TestAReaderFollowsALogUntilTheJobEnds(t *testing.T) {
	l := openLog(filepath.Join(t.TempDir(), "stdout"), nil)
	r := &logReader{ctx: t.Context(), log: l, follow: true, offset: 2}
	defer r.Close()
	got := make(chan string)
	go func() {
		b, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
	}()
	_ = l.write(0, []byte("one\n"))
	_ = l.write(4, []byte("two\n"))
	l.end()
	if s := <-got; s != "e\ntwo\n" {
		t.Errorf("read %q", s)
	}
	still := &logReader{ctx: t.Context(), log: openLog(l.path, nil), offset: 0}
	defer still.Close()
	if b, err := io.ReadAll(still); err != nil || string(b) != "one\ntwo\n" {
		t.Errorf("without follow: %q, %v", b, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	waiting := &logReader{ctx: ctx, log: openLog(filepath.Join(t.TempDir(), "none"), nil), follow: true}
	if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a reader that left got %v", err)
	}
}

func TestAttemptsThatComeToNothingAreSpacedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		begun, n := time.Now(), 0
		for time.Since(begun) < time.Minute {
			if p.wait(t.Context()) != nil {
				t.Fatal("context")
			}
			n++
		}
		if n < 10 || n > 25 {
			t.Errorf("%d attempts in a minute", n)
		}
		time.Sleep(time.Minute) // one that lasted
		before := time.Now()
		_ = p.wait(t.Context())
		if d := time.Since(before); d != 0 {
			t.Errorf("waited %s after an attempt that lasted", d)
		}
	})
}
