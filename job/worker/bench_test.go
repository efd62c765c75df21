package worker_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/simulated"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/job/worker"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
)

const (
	network = "test"
	price   = 250_000
)

var workerKey, requesterKey, strangerKey = sessiontest.Key("worker"), sessiontest.Key("requester"), sessiontest.Key("stranger")

// bench is a machine with one worker on it at a time.
type bench struct {
	t         *testing.T
	runtime   runtimetest.Memory
	journal   *sessiontest.Journal
	dir       string
	samples   string
	telemetry worker.Telemetry
	cards     worker.Cards
	strangers market.Strangers
	policy    worker.Policy
	crowd     int
	room      func() uint64 // for a task's disk; nil: as much as the machine has
	standing  standing
	folders   worker.Folders                        // nil: folders{}
	wrap      func(runtime.Runtime) runtime.Runtime // what the worker sees of the runtime; may be nil
	image     runtime.Image
	peers     *peers
	kept      receipts
	devices   *gpu.Reservations
	lost      int         // devices that are not there any more
	unread    atomic.Bool // the requester has not all of the output yet

	*worker.Worker
	cancel context.CancelFunc
	done   chan error
}

func newBench(t *testing.T) *bench {
	image, blobs := runtimetest.Image("test")
	policy := worker.Policy{Floor: price, MaxDuration: 24 * time.Hour, MaxAbsentGrace: 10 * time.Minute}
	return &bench{t: t, policy: policy, runtime: runtimetest.New(t), journal: &sessiontest.Journal{}, dir: t.TempDir(), samples: t.TempDir(), image: image, peers: &peers{blobs: blobs}, strangers: market.Strangers{Leases: 8, Budget: time.Hour}}
}

// start starts a worker from what the journal, the disk and the runtime hold.
func (b *bench) start() {
	b.t.Helper()
	b.restore()
	b.run()
}

// restore makes the worker; run lets it.
func (b *bench) restore() {
	b.t.Helper()
	made, err := simulated.Make("rtx-4090:2", sessiontest.Public(workerKey))
	if err != nil {
		b.t.Fatal(err)
	}
	if b.devices, err = gpu.NewReservations(made.Devices[b.lost:]); err != nil {
		b.t.Fatal(err)
	}
	b.Worker = worker.New(worker.Config{
		Key: workerKey, Network: network, Devices: b.devices, Dir: b.dir, Room: b.room, SamplesDir: b.samples, Now: time.Now,
		Policy:  b.ownersPolicy(),
		Machine: &marketv1.Machine{Cpus: 4, MemoryBytes: 8 << 30, DiskBytes: 100 << 30, Platform: "linux/amd64"},
		Cards:   b.cards, Runtime: b.seen(), Telemetry: b.telemetry, Journal: b.journal, Peers: b.peers, Folders: b.packs(), Receipts: &b.kept, Standing: &b.standing, Crowd: func() int { return b.crowd },
		Log: slog.New(slog.NewTextHandler(b.t.Output(), nil)),
	})
	if err := b.Restore(b.journal.Replay); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) run() {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.done = cancel, make(chan error, 1)
	go func() { b.done <- b.Run(ctx) }()
	synctest.Wait()
}

func (b *bench) seen() runtime.Runtime {
	if b.wrap == nil {
		return b.runtime.Reopen()
	}
	return b.wrap(b.runtime.Reopen())
}

func (b *bench) packs() worker.Folders {
	if b.folders == nil {
		return folders{}
	}
	return b.folders
}

func (b *bench) ownersPolicy() worker.Policy {
	p := b.policy
	p.Strangers = b.strangers
	return p
}

// stop ends the worker. Its tasks run on.
func (b *bench) stop() {
	b.t.Helper()
	b.cancel()
	if err := <-b.done; err != nil {
		b.t.Errorf("worker: %v", err)
	}
}

// clear ends what would outlive the bubble.
func (b *bench) clear() {
	all, _ := b.runtime.List(context.Background())
	for _, st := range all {
		_ = b.runtime.Remove(context.Background(), st.ID)
	}
}

// attempt is everything an award consists of, to be changed before it is made.
type attempt struct {
	b     *bench
	key   ed25519.PrivateKey
	spec  *marketv1.Spec
	bid   *marketv1.Signed
	terms *leasev1.Terms
	wait  time.Duration // between bid and award
}

func (b *bench) spec(script ...string) *marketv1.Spec {
	return &marketv1.Spec{
		Version: 1, Name: "test", Command: script,
		Image: &marketv1.Image{
			Digest: b.image.Digest, MediaType: b.image.MediaType, SizeBytes: uint64(b.image.Size),
			Platform: b.image.Platform, TotalBytes: 1, Name: "test:1",
		},
		Gpu:       &marketv1.Requirement{Count: 1, AllowSimulated: true},
		Resources: &marketv1.Resources{CpuMillis: 1000, MemoryBytes: 64 << 20, Pids: 64},
	}
}

// announce is what a requester with a key wants run.
func (b *bench) announce(key ed25519.PrivateKey, spec *marketv1.Spec) worker.Announcement {
	b.t.Helper()
	now := time.Now()
	signed, err := statement.Sign(key, statement.TypeAnnouncement, &marketv1.Announcement{
		Version: 1, Network: network, Requester: sessiontest.Public(key), JobId: make([]byte, 16), Sequence: 1,
		IssuedMs: now.UnixMilli(), ExpiresMs: now.Add(30 * time.Second).UnixMilli(), Gpu: spec.Gpu, Resources: spec.Resources,
		ImageDigest: spec.Image.Digest, Platform: spec.Image.Platform, MaxPrice: 2 * price,
		MaxDurationMs: time.Hour.Milliseconds(), PeerRecord: []byte("requester"),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ann, err := statement.OpenAnnouncement(signed)
	if err != nil {
		b.t.Fatal(err)
	}
	return ann
}

// prepare gets a bid and writes the terms that take it up.
func (b *bench) prepare(key ed25519.PrivateKey, script ...string) *attempt {
	b.t.Helper()
	return b.bidFor(key, b.spec(script...))
}

func (b *bench) bidFor(key ed25519.PrivateKey, spec *marketv1.Spec) *attempt {
	b.t.Helper()
	a := &attempt{b: b, key: key, spec: spec}
	got, err := b.Ask(b.announce(key, a.spec))
	if err != nil || got.GetBid() == nil {
		b.t.Fatalf("asked for a bid: %v, %v", got, err)
	}
	a.bid = got.GetBid()
	bid, err := statement.OpenBid(a.bid)
	if err != nil {
		b.t.Fatal(err)
	}
	m := bid.Message()
	a.terms = sessiontest.Terms(workerKey, key, time.Now())
	a.terms.WorkerNonce, a.terms.Price, a.terms.Simulated = m.Nonce, m.Price, true
	a.terms.ImageDigest = a.spec.Image.Digest
	a.terms.GpuTags = nil
	for _, d := range m.Devices {
		a.terms.GpuTags = append(a.terms.GpuTags, d.Tag)
	}
	return a
}

// request signs what stands.
func (a *attempt) request() *leasev1.AwardRequest {
	a.b.t.Helper()
	spec, err := proto.MarshalOptions{Deterministic: true}.Marshal(a.spec)
	if err != nil {
		a.b.t.Fatal(err)
	}
	if digest := sha256.Sum256(spec); len(a.terms.SpecDigest) == sha256.Size {
		a.terms.SpecDigest = digest[:]
	}
	terms, err := statement.Sign(a.key, statement.TypeTerms, a.terms)
	if err != nil {
		a.b.t.Fatal(err)
	}
	return &leasev1.AwardRequest{Terms: terms, Spec: spec, Bid: a.bid, PeerRecord: []byte("requester")}
}

func (b *bench) award(key ed25519.PrivateKey, req *leasev1.AwardRequest) *leasev1.AwardResponse {
	b.t.Helper()
	resp, err := b.Award(sessiontest.Peer(b.t, key), req)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

// lease makes an award that must succeed, and gives the requester's side of it.
func (b *bench) lease(req *leasev1.AwardRequest) (lease.Lease, []byte) {
	b.t.Helper()
	resp := b.award(requesterKey, req)
	if resp.GetCountersigned() == nil {
		b.t.Fatalf("refused: %v", resp)
	}
	agreement, err := lease.NewAgreement(resp.GetCountersigned(), req.Terms)
	if err != nil {
		b.t.Fatal(err)
	}
	l, err := lease.New(lease.Config{Role: lease.Requester, Agreement: agreement, Sign: sessiontest.Sign(requesterKey)}, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	id := l.ID()
	return l, id[:]
}

// connect opens the lease's kept stream.
func (b *bench) connect(s *session.Session, id []byte) *session.PipeEnd {
	b.t.Helper()
	ofRequester, ofWorker := session.Pipe(sessiontest.Peer(b.t, requesterKey), sessiontest.Peer(b.t, workerKey))
	if err := errors.Join(b.Accept(b.t.Context(), id, ofWorker), s.Attach(b.t.Context(), ofRequester)); err != nil {
		b.t.Fatal(err)
	}
	return ofRequester
}

// follow reads a task's stream to its end.
func (b *bench) follow(id []byte) (stdout string, ended *leasev1.Ended) {
	b.t.Helper()
	near, far := session.Pipe(sessiontest.Peer(b.t, requesterKey), sessiontest.Peer(b.t, workerKey))
	go func() {
		if err := b.Follow(far.Context(), &leasev1.TaskRequest{LeaseId: id}, far); err != nil {
			far.Reset()
		}
		_ = far.Close()
	}()
	for {
		var f leasev1.TaskFrame
		if err := near.Recv(&f); err != nil {
			return stdout, nil
		}
		if c := f.GetChunk(); c != nil && !c.Stderr {
			stdout += string(c.Data)
		}
		if e := f.GetEnded(); e != nil {
			near.Reset()
			return stdout, e
		}
	}
}

// free is how many devices nobody holds.
func (b *bench) free() int { return len(b.devices.Free()) }

// peers is the network as a worker sees it.
type peers struct {
	mu       sync.Mutex
	blobs    runtimetest.Blobs
	away     bool                                // nothing can be fetched
	witness  func(peer.ID) (session.Link, error) // nil: all are away
	origins  map[peer.ID][]netip.Prefix
	answered []*marketv1.Answer
	over     bool // answers come too late
	price    uint64
}

func (p *peers) Protect(peer.ID, string) (release func()) { return func() {} }

func (p *peers) PeerRecord() ([]byte, error) { return []byte("worker"), nil }
func (p *peers) AddPeerRecord(b []byte) (peer.ID, error) {
	return job.PeerID(sessiontest.Public(sessiontest.Key(string(b))))
}
func (p *peers) Origins(id peer.ID) []netip.Prefix {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.origins[id]
}

func (p *peers) Witness(_ context.Context, id peer.ID) (session.Link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.witness == nil {
		return nil, errors.New("away")
	}
	return p.witness(id)
}

func (p *peers) Connect(context.Context, peer.ID) error { return nil }

func (p *peers) Answer(_ context.Context, _ peer.ID, a *marketv1.Answer) (bool, uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered = append(p.answered, a)
	return p.over, p.price, nil
}

func (p *peers) Blobs(peer.ID, []byte) (runtime.BlobSource, func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return runtimetest.Blobs{}, func() {}
	}
	return p.blobs, func() {}
}

func (p *peers) set(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// folders is a store whose manifest names the bytes of a folder's files.
type folders struct{}

func (folders) Unpack(context.Context, runtime.BlobSource, string, string) error { return nil }

func (folders) Pack(_ context.Context, dir string) (worker.Packed, error) {
	h := sha256.New()
	var size uint64
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		size += uint64(len(b))
		h.Write(b)
		return err
	})
	return worker.Packed{Manifest: "sha256:" + hex.EncodeToString(h.Sum(nil)), Bytes: size}, err
}

func (folders) Digests(manifest string) ([]string, error) { return []string{manifest}, nil }

// receipts remembers what was kept.
type receipts struct {
	mu   sync.Mutex
	fail func() error // may be nil
	kept []*leasev1.Receipt
}

func (r *receipts) KeepProof(string, *leasev1.Equivocation) error { return nil }

func (r *receipts) Keep(role string, rec *leasev1.Receipt) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if role != "worker" {
		return errors.New("kept as " + role)
	}
	if r.fail != nil {
		if err := r.fail(); err != nil {
			return err
		}
	}
	r.kept = append(r.kept, rec)
	return nil
}

func (r *receipts) last() *leasev1.Receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) == 0 {
		return nil
	}
	return r.kept[len(r.kept)-1]
}

// standing remembers strikes.
type standing struct {
	mu     sync.Mutex
	record market.Record
	struck []peer.ID
}

func (s *standing) Record(peer.ID) market.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record
}

func (s *standing) Strike(id peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.struck = append(s.struck, id)
}
