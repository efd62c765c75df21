package control

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestStatusSaysWhoServesTheSocket(t *testing.T) {
	dir := t.TempDir()
	newFakeNode().serve(t, dir)
	st, err := mustDial(t, dir).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.PeerId != "12D3" || st.DataDir != dir || st.Version != "v0" || int(st.Pid) != os.Getpid() {
		t.Errorf("status: %v", st)
	}
}

func TestOffersAreFilteredAndCheapestFirst(t *testing.T) {
	c := newFakeNode().dial(t)
	for _, test := range []struct {
		name string
		req  *controlv1.ListOffersRequest
		want []string
	}{
		{"everything", &controlv1.ListOffersRequest{}, []string{"small", "cheap", "dear"}},
		{"enough VRAM", &controlv1.ListOffersRequest{VramBytes: 24 << 30}, []string{"cheap", "dear"}},
		{"VRAM and price", &controlv1.ListOffersRequest{VramBytes: 24 << 30, MaxPrice: 1_000_000}, []string{"cheap"}},
		{"one model", &controlv1.ListOffersRequest{Model: "h100"}, []string{"dear"}},
		{"nothing", &controlv1.ListOffersRequest{Model: "b200"}, nil},
	} {
		resp, err := c.Offers(t.Context(), test.req)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range resp.Offers {
			got = append(got, o.PeerId)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if resp.ConnectedPeers != 3 {
			t.Errorf("%s: %d peers", test.name, resp.ConnectedPeers)
		}
	}
}

func TestErrorsOfTheNodeKeepTheirWordsAndTheirSentinel(t *testing.T) {
	c := newFakeNode().dial(t)
	ctx := t.Context()
	submit := func(s *leasev1.Submission) error { _, err := c.Submit(ctx, s); return err }
	_, _, noReceipt := c.Receipt(ctx, "x")
	_, broken := c.Receipts(ctx)
	for _, test := range []struct {
		name string
		err  error
		is   error
		text string
	}{
		{"no job", c.Stop(ctx, "ffff", 0, false), ErrNotFound, `job "ffff": not found`},
		{"ambiguous", c.Stop(ctx, "", 0, false), ErrAmbiguous, `job "": ambiguous id: 2 jobs begin like that`},
		{"no receipt", noReceipt, ErrNotFound, `receipt "x": not found`},
		{"no spec", submit(&leasev1.Submission{}), ErrInvalid, "invalid request: a submission has no spec"},
		{"bad spec", submit(&leasev1.Submission{Spec: &marketv1.Spec{Name: "bad"}}), ErrInvalid, "invalid request: gpu.count: want 1 to 64 devices, not 0"},
		{"image not put", submit(&leasev1.Submission{Spec: &marketv1.Spec{Image: &marketv1.Image{Digest: "d"}}}), ErrMissing, "image d: missing blob"},
		{"anything else", broken, nil, "the disk is on fire"},
	} {
		if test.is != nil && !errors.Is(test.err, test.is) {
			t.Errorf("%s: %v is not %v", test.name, test.err, test.is)
		}
		if test.err == nil || test.err.Error() != test.text {
			t.Errorf("%s: %v, want %s", test.name, test.err, test.text)
		}
	}
}

func TestStopListAndShutdownReachTheNode(t *testing.T) {
	f := newFakeNode()
	c := f.dial(t)
	if err := c.Stop(t.Context(), "3f2a", 3*time.Second, true); err != nil {
		t.Fatal(err)
	}
	if s := f.stops[0]; s.JobId != "3f2a" || s.GraceMs != 3000 || !s.Abandon {
		t.Errorf("stop: %v", s)
	}
	for all, want := range map[bool]int{false: 1, true: 2} {
		if jobs, err := c.Jobs(t.Context(), all); err != nil || len(jobs) != want {
			t.Errorf("jobs with all %v: %v, %v", all, jobs, err)
		}
	}
	if err := c.Shutdown(t.Context(), true); err != nil || !<-f.shutdown {
		t.Errorf("shutdown: %v", err)
	}
}

func TestIdleServerIsNoticedOnlyWhenNobodyCallsAndNothingIsBusy(t *testing.T) {
	f := newFakeNode()
	dir := t.TempDir()
	s := f.serve(t, dir)
	c := mustDial(t, dir)
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	called := make(chan struct{}, 8)
	go func() {
		for range c.Watch(ctx, &controlv1.WatchJobRequest{JobId: "3f2a", Follow: true, EventsOnly: true}) {
			called <- struct{}{}
		}
	}()
	f.live <- &leasev1.JobEvent{AtMs: 1}
	<-called
	asked := 0
	busy := func() bool {
		asked++
		if asked == 3 { // until then there is a call, and from then on a job
			hangUp()
		}
		return asked >= 3 && asked < 6
	}
	if err := s.WaitIdle(t.Context(), time.Millisecond, busy); err != nil {
		t.Fatal(err)
	}
	if asked < 6 {
		t.Errorf("idle when it had asked %d times whether a job goes on", asked)
	}
}

func TestTheMarketIsExplained(t *testing.T) {
	c := newFakeNode().dial(t)
	if resp, err := c.ExplainJob(t.Context(), "3f"); err != nil || resp.JobId != "3f2a" {
		t.Errorf("%v, %v", resp, err)
	}
	if _, err := c.ExplainJob(t.Context(), "4"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v; want not found", err)
	}
	if resp, err := c.ExplainWorker(t.Context()); err != nil || resp.HeardCount != 7 {
		t.Errorf("%v, %v", resp, err)
	}
}

// A node of an older version is a server that does not know the newer calls.
func TestACallThatAnOlderNodeDoesNotKnowIsNamed(t *testing.T) {
	dir := t.TempDir()
	l, err := Listen(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	older := &http.Server{Protocols: plainHTTP2(), Handler: http.NotFoundHandler()}
	go func() { _ = older.Serve(l) }()
	t.Cleanup(func() { _ = older.Close() })
	client, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Status(t.Context()); !errors.Is(err, ErrOtherVersion) {
		t.Errorf("a call: %v", err)
	}
	for _, err := range client.Watch(t.Context(), &controlv1.WatchJobRequest{}) {
		if !errors.Is(err, ErrOtherVersion) {
			t.Errorf("a stream: %v", err)
		}
	}
}
