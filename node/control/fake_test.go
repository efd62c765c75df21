package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// fakeNode is everything a Server answers from, in memory, with one job in it.
type fakeNode struct {
	mu       sync.Mutex
	blobs    map[string][]byte
	stops    []*controlv1.StopJobRequest
	shutdown chan bool

	left   chan struct{} // closed when a watcher's context ended
	events []*leasev1.JobEvent
	live   chan *leasev1.JobEvent // after the history; closed at the job's end
	stdout string
	stderr string
}

const fakeJob = "3f2a0000000000000000000000000000"

func newFakeNode() *fakeNode {
	return &fakeNode{
		blobs: map[string][]byte{}, shutdown: make(chan bool, 1),
		left: make(chan struct{}), live: make(chan *leasev1.JobEvent, 8),
	}
}

func (f *fakeNode) find(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("job %q: %w: 2 jobs begin like that", id, ErrAmbiguous)
	case !strings.HasPrefix(fakeJob, id):
		return fmt.Errorf("job %q: %w", id, ErrNotFound)
	}
	return nil
}

func (f *fakeNode) Submit(_ context.Context, s *leasev1.Submission) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.Spec.Name == "bad" {
		return "", fmt.Errorf("%w: gpu.count: want 1 to 64 devices, not 0", ErrInvalid)
	}
	if d := s.Spec.Image.GetDigest(); f.blobs[d] == nil {
		return "", fmt.Errorf("image %s: %w", d, ErrMissing)
	}
	return fakeJob, nil
}

func (f *fakeNode) Events(ctx context.Context, id string, follow bool) iter.Seq2[*leasev1.JobEvent, error] {
	return func(yield func(*leasev1.JobEvent, error) bool) {
		if err := f.find(id); err != nil {
			yield(nil, err)
			return
		}
		for _, e := range f.events {
			if !yield(e, nil) {
				return
			}
		}
		for follow {
			select {
			case e, ok := <-f.live:
				if !ok || !yield(e, nil) {
					return
				}
			case <-ctx.Done():
				close(f.left)
				return
			}
		}
	}
}

func (f *fakeNode) Output(_ context.Context, id string, s runtime.Stream, offset int64, _ bool) (io.ReadCloser, error) {
	if err := f.find(id); err != nil {
		return nil, err
	}
	text := f.stdout
	if s == runtime.Stderr {
		text = f.stderr
	}
	return &timedText{text: text, offset: min(int(offset), len(text))}, nil
}

func (f *fakeNode) Stop(_ context.Context, id string, grace time.Duration, abandon bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stops = append(f.stops, &controlv1.StopJobRequest{JobId: id, GraceMs: grace.Milliseconds(), Abandon: abandon})
	return f.find(id)
}

func (f *fakeNode) List(all bool) []*controlv1.Job {
	jobs := []*controlv1.Job{{JobId: fakeJob, State: "running"}}
	if all {
		jobs = append(jobs, &controlv1.Job{JobId: "old", State: "ended"})
	}
	return jobs
}

func (f *fakeNode) Has(digest string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blobs[digest] != nil
}

func (f *fakeNode) Reader(digest string, offset int64) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return io.NopCloser(bytes.NewReader(f.blobs[digest][offset:])), nil
}

func (f *fakeNode) Put(_ context.Context, digest string, r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if got := digestOf(content); got != digest {
		return fmt.Errorf("%w: the content is %s", ErrInvalid, got)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blobs[digest] = content
	return nil
}

func (f *fakeNode) Offers(context.Context, time.Duration) []*controlv1.SeenOffer {
	offer := func(peer, model string, vram, price uint64) *controlv1.SeenOffer {
		return &controlv1.SeenOffer{PeerId: peer, Offer: &marketv1.Offer{
			Devices: []*marketv1.Device{{Model: model, VramBytes: vram, Price: price}},
		}}
	}
	return []*controlv1.SeenOffer{
		offer("dear", "h100", 80<<30, 2_000_000),
		offer("cheap", "rtx-4090", 24<<30, 300_000),
		offer("small", "rtx-3060", 12<<30, 100_000),
	}
}

func (f *fakeNode) Receipt(id string) (string, []byte, error) {
	if id != "lease" {
		return "", nil, fmt.Errorf("receipt %q: %w", id, ErrNotFound)
	}
	return "lease", []byte("receipt"), nil
}

func (f *fakeNode) ListReceipts() ([]*controlv1.ReceiptLine, error) {
	return nil, errors.New("the disk is on fire")
}

func (f *fakeNode) Status(context.Context) *controlv1.StatusResponse {
	return &controlv1.StatusResponse{PeerId: "12D3", Network: "main", ConnectedPeers: 3}
}

func (f *fakeNode) Join([]string) error { return nil }

func (f *fakeNode) Shutdown(drain bool) { f.shutdown <- drain }

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (f *fakeNode) server(dir string) *Server {
	return New(Config{DataDir: dir, Version: "v0", Jobs: f, Blobs: f, Offers: f, Receipts: f, Leases: f, Market: f, Node: f, Reach: nil, Owner: f, Log: slog.New(slog.DiscardHandler)})
}

// serve runs a server over f in dir until the test ends.
func (f *fakeNode) serve(t *testing.T, dir string) *Server {
	t.Helper()
	s, stop := f.start(t, dir)
	t.Cleanup(stop)
	return s
}

// serveUntil is serve until stop is called, which may be more than once.
func (f *fakeNode) serveUntil(t *testing.T, dir string) (stop func()) {
	t.Helper()
	_, stop = f.start(t, dir)
	t.Cleanup(stop)
	return stop
}

func (f *fakeNode) start(t *testing.T, dir string) (*Server, func()) {
	t.Helper()
	l, err := Listen(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := f.server(dir)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	return s, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// dial gives a client of a fresh server over f.
func (f *fakeNode) dial(t *testing.T) *Client {
	t.Helper()
	dir := t.TempDir()
	f.serve(t, dir)
	return mustDial(t, dir)
}

func mustDial(t *testing.T, dir string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// wholeSize is more than one message holds.
const wholeSize = 3*piece + 7

func (f *fakeNode) OpenLease(_ context.Context, id string, samples bool) ([]byte, []string, error) {
	if id != "lease" {
		return nil, nil, fmt.Errorf("receipt %q: %w", id, ErrNotFound)
	}
	if !samples {
		return nil, nil, nil
	}
	return bytes.Repeat([]byte{7}, wholeSize), []string{"the samples"}, nil
}

func (f *fakeNode) ReadReceipts(from, to time.Time, fn func(string, []byte) error) error {
	for at := from; at.Before(to); at = at.Add(time.Hour) {
		if err := fn("worker", []byte(at.UTC().Format(time.TimeOnly))); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeNode) Proof(id string) (string, []byte, error) {
	return "", nil, fmt.Errorf("proof %q: %w", id, ErrNotFound)
}

func (f *fakeNode) ExplainJob(id string) (*controlv1.ExplainJobResponse, error) {
	if id != "3f" {
		return nil, fmt.Errorf("job %q: %w", id, ErrNotFound)
	}
	return &controlv1.ExplainJobResponse{JobId: "3f2a"}, nil
}

func (f *fakeNode) ExplainWorker() *controlv1.ExplainWorkerResponse {
	return &controlv1.ExplainWorkerResponse{Worker: true, HeardCount: 7}
}

func (f *fakeNode) Say(word controlv1.Word) (int, error) {
	if word == controlv1.Word_WORD_UNSPECIFIED {
		return 0, fmt.Errorf("no word: %w", ErrInvalid)
	}
	return 2, nil
}

func (f *fakeNode) Devices() (*controlv1.ListDevicesResponse, error) {
	return &controlv1.ListDevicesResponse{Devices: []*controlv1.OwnedDevice{{Uuid: "GPU-1"}}}, nil
}

func (f *fakeNode) Config() ([]byte, error) { return []byte("network: lab\n"), nil }

func (f *fakeNode) Settings() [][2]string { return [][2]string{{"network", "lab"}} }

func (f *fakeNode) PutConfig(text []byte) error {
	if string(text) == "bad" {
		return fmt.Errorf("config.yaml:1: %w", ErrInvalid)
	}
	return nil
}

// timedText is an output each byte of which came a second after the one before, from one second on.
type timedText struct {
	text   string
	offset int
}

func (r *timedText) Read(p []byte) (int, error) {
	if r.offset == len(r.text) {
		return 0, io.EOF
	}
	n := copy(p, r.text[r.offset:])
	r.offset += n
	return n, nil
}

func (r *timedText) ReadTimed(p []byte) (int, time.Time, error) {
	n, err := r.Read(p[:1])
	return n, time.Unix(int64(r.offset), 0), err
}

func (r *timedText) Skip(to time.Time) (int64, error) {
	r.offset = max(r.offset, min(int(to.Unix())-1, len(r.text)))
	return int64(r.offset), nil
}

func (r *timedText) Close() error { return nil }
