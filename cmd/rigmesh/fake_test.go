package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job/owner"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p/blob"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

const (
	fakeJob   = "3f2a9c0000000000000000000000beef"
	fakeLease = "77aa000000000000000000000000000000000000000000000000000000000000"
	fakePeer  = "12D3KooWFakeWorker1"
)

// fakeNode answers the command line from memory. Its one job tells events, and ends when
// the test lets it.
type fakeNode struct {
	*blob.Store
	dir string

	mu         sync.Mutex
	submission *leasev1.Submission
	joined     []string
	stops      chan bool // abandon
	forgotten  []string
	down       chan bool // drain

	events         []*leasev1.JobEvent
	stopped        []*leasev1.JobEvent // told after the first stop, when set
	stdout, stderr string
	stdin, typed   string // of a command, and what came of it
	offers         []*controlv1.SeenOffer
	farther        []*controlv1.SeenOffer // found when it looks
	config         []byte                 // config.yaml
	private        bool                   // behind a pre-shared key
	pskTag         []byte                 // of that key; nil: it does not say
	words          []controlv1.Word
	jobs           []*controlv1.Job
	heard          []*controlv1.HeardJob

	receipt, whole, proof []byte
	missing               []string // of whole
	month                 string   // that was asked for

	shared []*controlv1.Share            // here
	found  *controlv1.FindSharedResponse // of whatever digest, at others; nil: nobody shares it
}

func startFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	f, err := newFakeNode(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := control.Listen(f.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.server().Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

// dialFakeNode starts one, and is connected to it until the test ends.
func dialFakeNode(t *testing.T) *control.Client {
	t.Helper()
	client, err := control.Dial(t.Context(), startFakeNode(t).dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func newFakeNode(dir string) (*fakeNode, error) {
	store, err := blob.Open(filepath.Join(dir, "blobs"))
	return &fakeNode{Store: store, dir: dir, receipt: []byte("not a receipt"), stops: make(chan bool, 4), down: make(chan bool, 1)}, err
}

func (f *fakeNode) server() *control.Server {
	return control.New(control.Config{
		DataDir: f.dir, Version: "v0", Jobs: f, Blobs: f, Offers: f, Receipts: f, Leases: f, Market: f, Tasks: f, Ports: f, Stats: f, Freezer: f, Sharing: f, Node: f, Owner: f, Reach: f, Log: slog.New(slog.DiscardHandler),
	})
}

// rigmesh runs a command line against the fake node.
func (f *fakeNode) rigmesh(args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	k := console{in: strings.NewReader(f.stdin), out: &out, err: &errs, getenv: func(name string) string {
		return map[string]string{"RIGMESH_DATA": f.dir}[name]
	}}
	err := run(context.Background(), k, append([]string{"rigmesh"}, args...))
	code = exitCode(&errs, err)
	return out.String(), errs.String(), code
}

func (f *fakeNode) Submit(_ context.Context, s *leasev1.Submission) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.submission = s
	return fakeJob, nil
}

func (f *fakeNode) find(id string) error {
	if id == "" || !strings.HasPrefix(fakeJob, id) {
		return fmt.Errorf("job %q: %w", id, control.ErrNotFound)
	}
	return nil
}

func (f *fakeNode) Events(ctx context.Context, id string, _ bool) iter.Seq2[*leasev1.JobEvent, error] {
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
		if f.stopped == nil {
			return
		}
		select {
		case abandon := <-f.stops:
			f.stops <- abandon
		case <-ctx.Done():
			return
		}
		for _, e := range f.stopped {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (f *fakeNode) Output(_ context.Context, id string, s runtime.Stream, offset int64, _ bool) (io.ReadCloser, error) {
	text := map[runtime.Stream]string{runtime.Stdout: f.stdout, runtime.Stderr: f.stderr}[s]
	return io.NopCloser(strings.NewReader(text[offset:])), f.find(id)
}

func (f *fakeNode) Stop(_ context.Context, id string, _ time.Duration, abandon bool) error {
	f.stops <- abandon
	return f.find(id)
}

func (f *fakeNode) List(bool) []*controlv1.Job { return f.jobs }
func (f *fakeNode) Offers(_ context.Context, look time.Duration) []*controlv1.SeenOffer {
	if look > 0 {
		return append(slices.Clone(f.offers), f.farther...)
	}
	return f.offers
}

func (f *fakeNode) ListReceipts() ([]*controlv1.ReceiptLine, error) { return nil, nil }
func (f *fakeNode) Receipt(id string) (lease string, receipt []byte, err error) {
	return id, f.receipt, nil
}

func (f *fakeNode) OpenLease(context.Context, string, bool) ([]byte, []string, error) {
	if f.whole == nil {
		return nil, nil, fmt.Errorf("heartbeats of lease 77aa: %w", control.ErrNotFound)
	}
	return f.whole, f.missing, nil
}

func (f *fakeNode) ReadReceipts(from, to time.Time, fn func(string, []byte) error) error {
	f.month = from.Format(time.DateOnly) + " to " + to.Format(time.DateOnly)
	return errors.Join(fn("worker", f.receipt), fn("requester", f.receipt))
}

func (f *fakeNode) Proof(id string) (string, []byte, error) { return id, f.proof, nil }

func (f *fakeNode) Join(addresses []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined = append(f.joined, addresses...)
	return nil
}

func (f *fakeNode) ExplainJob(id string) (*controlv1.ExplainJobResponse, error) {
	return &controlv1.ExplainJobResponse{JobId: fakeJob, State: "no bid", Submission: f.submission, Events: f.events}, f.find(id)
}

func (f *fakeNode) ExplainWorker() *controlv1.ExplainWorkerResponse {
	return &controlv1.ExplainWorkerResponse{Worker: true, Devices: 2, FreeDevices: 1, Heard: f.heard, HeardCount: uint64(len(f.heard))}
}

func (f *fakeNode) Say(word controlv1.Word) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.words = append(f.words, word)
	return 1, nil
}

func (f *fakeNode) said() []controlv1.Word {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.words)
}

func (f *fakeNode) Config() ([]byte, error) { return f.config, nil }

// Settings are those of a node that was started with --price 0.35.
func (f *fakeNode) Settings() [][2]string {
	cfg := config.Default("/data")
	cfg.Price, cfg.Devices = 350_000, []owner.DeviceRule{{Name: "rtx-3060", Lend: new(false)}}
	return config.Settings(cfg)
}

func (f *fakeNode) PutConfig(text []byte) error {
	f.config = text
	return nil
}

// Devices are a card that is leased and works, one that is free, and one that is too hot.
func (f *fakeNode) Devices() (*controlv1.ListDevicesResponse, error) {
	return &controlv1.ListDevicesResponse{
		Name: "attic", ConnectedPeers: 3, Earned: 12_340_000,
		Devices: []*controlv1.OwnedDevice{
			{
				Number: 0, Uuid: "SIM-1", Model: "rtx-4090", Simulated: true, VramBytes: 24564 << 20, Price: 350_000, Action: "lend", ReadMs: 1,
				Utilisation: 94, MemoryUsed: 14 << 30, PowerMw: 423_400, PowerLimitMw: 450_000, Temperature: 72,
				Lease: &controlv1.OwnedLease{Id: fakeLease, Name: "tune", Price: 350_000, Devices: 1, CreditMs: 7_980_000, Amount: 775_833, EnergyMj: 3_377_700_000},
			},
			{Number: 1, Uuid: "GPU-2", Model: "rtx-3060", VramBytes: 12 << 30, Price: 200_000, Action: "lend", ReadMs: 1, MemoryUsed: 300 << 20, PowerMw: 8_000, PowerLimitMw: 170_000, Temperature: 36},
			{
				Number: 2, Uuid: "GPU-3", Model: "rtx-3090", VramBytes: 24 << 30, Price: 300_000, Action: "hand back", Code: "heat", ReadMs: 1,
				Text: "given up, and left to cool: 93 °C, and your ceiling is 83 °C", PowerMw: 30_000, PowerLimitMw: 100_000, Temperature: 93,
			},
			{Number: 3, Uuid: "GPU-4", Model: "rtx-3080", VramBytes: 10 << 30, Price: 200_000, Action: "hand back", Code: "lost", Text: "the card fell off the bus"},
		},
	}, nil
}

func (f *fakeNode) Reach() *controlv1.ReachResponse {
	return &controlv1.ReachResponse{
		Reach: controlv1.Reach_REACH_RELAYED, Relays: []string{"12D3KooWaaaaaaaaaRelay01", "12D3KooWaaaaaaaaaRelay02"},
		Udp: controlv1.Nat_NAT_SAME_PORT, Tcp: controlv1.Nat_NAT_PORT_PER_PEER, PrivateNetwork: f.private, PrivateNetworkTag: f.pskTag,
		Peers: []*controlv1.Route{
			{PeerId: "12D3KooWaaaaaaaaRenter01", Way: controlv1.Way_WAY_PUNCHED, Transport: "quic", RttUs: 31_400, Lease: true},
			{PeerId: "12D3KooWaaaaaaaaaRelay01", Way: controlv1.Way_WAY_DIRECT, Transport: "tcp", RttUs: 9_000},
			{PeerId: "12D3KooWaaaaaaaaRenter02", Way: controlv1.Way_WAY_RELAYED, Via: "12D3KooWaaaaaaaaaRelay01", Inbound: true, Transport: "tcp"},
		},
	}
}

func (f *fakeNode) Shutdown(drain bool) { f.down <- drain }

func (f *fakeNode) Status(context.Context) *controlv1.StatusResponse {
	return &controlv1.StatusResponse{
		PeerId: fakePeer, Network: "main", ConnectedPeers: 2, Worker: true, FreeDevices: 1,
		Devices:   []*marketv1.Device{{Model: "rtx-4090", VramBytes: 24 << 30, Price: 350_000, Simulated: true}},
		Addresses: []string{"/ip4/127.0.0.1/tcp/4001/p2p/" + fakePeer},
		Conditions: []*controlv1.Condition{{
			Code: "clock", Severity: "warning", Sentence: "the clock is 20 s off", Remedy: "timedatectl set-ntp true",
		}},
	}
}

// The events of a job's life.

func bidEvent(price uint64) *leasev1.JobEvent {
	return &leasev1.JobEvent{Event: &leasev1.JobEvent_Bid{Bid: &leasev1.BidReceived{PeerId: fakePeer, Bid: &marketv1.Bid{
		Price: price, StartMs: 1500, Devices: []*marketv1.Device{{Model: "rtx-4090", Simulated: true}},
	}}}}
}

func leaseEvent() *leasev1.JobEvent {
	return &leasev1.JobEvent{Event: &leasev1.JobEvent_Lease{Lease: &leasev1.LeaseSigned{
		LeaseId: fakeLease, PeerId: fakePeer, Terms: &leasev1.Terms{Price: 300_000},
	}}}
}

func phaseEvent(p leasev1.Phase) *leasev1.JobEvent {
	return &leasev1.JobEvent{Event: &leasev1.JobEvent_Progress{Progress: &leasev1.Progress{Phase: p, DoneBytes: 1, TotalBytes: 2}}}
}

func beatEvent(creditMS, amount uint64) *leasev1.JobEvent {
	return &leasev1.JobEvent{Event: &leasev1.JobEvent_Heartbeat{Heartbeat: &leasev1.Heartbeat{CreditMs: creditMS, Amount: amount}}}
}

func declineEvent(peer string, d *marketv1.Decline) *leasev1.JobEvent {
	return &leasev1.JobEvent{Event: &leasev1.JobEvent_Decline{Decline: &leasev1.DeclineReceived{PeerId: peer, Decline: d}}}
}

func endEvent(o leasev1.Outcome, exit *leasev1.Exit, outputs ...*leasev1.Output) *leasev1.JobEvent {
	e := &leasev1.JobEnded{Outcome: o, Exit: exit, Outputs: outputs, CreditMs: 42_000, Amount: 3500}
	if exit != nil {
		e.LeaseId = fakeLease
	}
	return &leasev1.JobEvent{Event: &leasev1.JobEvent_Ended{Ended: e}}
}
