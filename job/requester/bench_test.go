package requester

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

const price = 250_000

var requesterKey = sessiontest.Key("requester")

// bench is a requester, one at a time, among workers of the test's making.
type bench struct {
	t        *testing.T
	journal  *sessiontest.Journal
	dir      string
	store    store
	market   *network
	kept     receipts
	standing standing
	now      func() time.Time

	*Requester
	cancel context.CancelFunc
	done   chan error
}

func newBench(t *testing.T, workers ...*rig) *bench {
	b := &bench{t: t, journal: &sessiontest.Journal{}, dir: t.TempDir(), store: store{}, market: &network{t: t}, now: time.Now}
	for i, w := range workers {
		w.t, w.name = t, fmt.Sprint("worker ", i)
		w.key = sessiontest.Key(w.name)
		w.id = sessiontest.Peer(t, w.key)
		b.market.rigs = append(b.market.rigs, w)
	}
	return b
}

func (b *bench) start() {
	b.t.Helper()
	b.Requester = New(Config{
		Key: requesterKey, Network: "test", AbsentGrace: 5 * time.Minute, Dir: b.dir, Now: b.now,
		Market: b.market, Streams: b.market, Content: b.store, Journal: b.journal, Receipts: &b.kept, Standing: &b.standing,
		Log: slog.New(slog.NewTextHandler(b.t.Output(), nil)),
	})
	b.market.requester = b.Requester
	if err := b.Restore(b.journal.Replay); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.done = cancel, make(chan error, 1)
	go func() { b.done <- b.Run(ctx) }()
	synctest.Wait()
}

func (b *bench) stop() {
	b.t.Helper()
	b.cancel()
	if err := <-b.done; err != nil {
		b.t.Errorf("requester: %v", err)
	}
	for _, w := range b.market.rigs {
		w.stop()
	}
}

func (b *bench) submission() *leasev1.Submission {
	image := b.store.image("amd64")[0]
	return &leasev1.Submission{
		MaxPrice: 2 * price, IntervalMs: 1000, MaxDurationMs: time.Hour.Milliseconds(),
		Spec: &marketv1.Spec{
			Version: 1, Name: "test",
			Image: &marketv1.Image{
				Digest: image, MediaType: "application/vnd.oci.image.manifest.v1+json", SizeBytes: uint64(len(b.store[image])),
				Platform: "linux/amd64", TotalBytes: 1, Name: "test:1",
			},
			Gpu:       &marketv1.Requirement{Count: 1, AllowSimulated: true},
			Resources: &marketv1.Resources{CpuMillis: 1000, MemoryBytes: 64 << 20, Pids: 64},
		},
	}
}

func (b *bench) submit(sub *leasev1.Submission) string {
	b.t.Helper()
	id, err := b.Submit(b.t.Context(), sub)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// events follows a job to its end.
func (b *bench) events(id string) (events []*leasev1.JobEvent, end *leasev1.JobEnded) {
	b.t.Helper()
	for e, err := range b.Events(context.Background(), id, true) {
		if err != nil {
			b.t.Fatal(err)
		}
		events = append(events, e)
	}
	if len(events) == 0 || events[len(events)-1].GetEnded() == nil {
		b.t.Fatalf("no end: %v", events)
	}
	return events, events[len(events)-1].GetEnded()
}

func (b *bench) run(sub *leasev1.Submission) ([]*leasev1.JobEvent, *leasev1.JobEnded) {
	b.t.Helper()
	return b.events(b.submit(sub))
}

// network finds and reaches the rigs of a test.
type network struct {
	t         *testing.T
	requester *Requester
	rigs      []*rig

	mu        sync.Mutex
	announced int
	asked     int
	losers    []peer.ID
	stamp     int
	withdrawn []*marketv1.Signed
}

func (n *network) PeerRecord() ([]byte, error)           { return []byte("record"), nil }
func (n *network) AddPeerRecord([]byte) (peer.ID, error) { return "", nil }
func (n *network) Connected() int                        { return len(n.rigs) }

func (n *network) Offers(context.Context, *marketv1.Requirement) <-chan Offer {
	out := make(chan Offer, len(n.rigs))
	for _, w := range n.rigs {
		if !w.hidden {
			out <- Offer{Worker: w.id, Offer: &marketv1.Offer{Devices: []*marketv1.Device{w.device()}, Region: w.region}, Seen: w.seen}
		}
	}
	close(out)
	return out
}

func (n *network) Resolve(_ context.Context, name string) (peer.ID, error) {
	for _, w := range n.rigs {
		if w.id.String() == name {
			return w.id, nil
		}
	}
	return "", errors.New("nobody of that name")
}

func (n *network) rig(id peer.ID) *rig {
	for _, w := range n.rigs {
		if w.id == id {
			return w
		}
	}
	return &rig{} // a stranger
}

func (n *network) Ask(ctx context.Context, id peer.ID, ann *marketv1.Signed) (*marketv1.Answer, error) {
	n.mu.Lock()
	n.asked++
	n.mu.Unlock()
	return n.rig(id).ask(ctx, ann)
}

func (n *network) Witnesses(int, []peer.ID) []peer.ID { return nil }
func (n *network) RecordOf(peer.ID) []byte            { return nil }

func (n *network) Announce(ctx context.Context, _ *marketv1.Requirement, ann *marketv1.Signed, wider int) (bool, error) {
	if wider > 0 {
		return false, nil
	}
	n.mu.Lock()
	n.announced++
	n.mu.Unlock()
	for _, w := range n.rigs {
		go func() {
			if a, err := w.ask(ctx, ann); err == nil {
				n.requester.Answered(w.id, a)
			}
		}()
	}
	return true, nil
}

func (n *network) Withdraw(ctx context.Context, losers []peer.ID, announced bool, signed *marketv1.Signed) {
	if pause(ctx, time.Millisecond) != nil {
		return // the way is not that short
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.losers = append(n.losers, losers...)
	if announced {
		n.withdrawn = append(n.withdrawn, signed)
	}
}

func (n *network) StampBits() int { return n.stamp }

func (n *network) RTT(id peer.ID) time.Duration { return n.rig(id).rtt }

func (n *network) Ping(_ context.Context, id peer.ID) (time.Duration, error) {
	return n.rig(id).far, nil
}

func (n *network) Award(ctx context.Context, id peer.ID, req *leasev1.AwardRequest) (*leasev1.AwardResponse, error) {
	return n.rig(id).award(ctx, req)
}

func (n *network) Protect(peer.ID, string) (release func()) { return func() {} }

func (n *network) Beat(_ context.Context, id peer.ID) (session.Link, error) {
	return n.rig(id).open(n.rig(id).beat)
}

func (n *network) Task(_ context.Context, id peer.ID) (session.Link, error) {
	return n.rig(id).open(n.rig(id).task)
}

func (n *network) Exec(_ context.Context, id peer.ID) (session.Link, error) {
	return n.rig(id).open(n.rig(id).exec)
}

func (n *network) Blobs(id peer.ID, _ []byte) (runtime.BlobSource, func()) {
	return n.rig(id).blobs, func() {}
}

// rig is a worker that behaves as its test says.
type rig struct {
	price   uint64
	hidden  bool          // no offer of it is found
	silent  bool          // it answers nothing
	away    bool          // no stream of it opens
	after   time.Duration // it answers
	rtt     time.Duration // as known
	far     time.Duration // as measured
	region  string
	stamp   int       // bits of work it wants
	seen    time.Time // its offer, before the auction
	decline *marketv1.Decline
	refuse  marketv1.DeclineReason // the award
	lost    int                    // so many countersignatures never arrive
	ran     time.Duration
	stdout  string
	exit    *leasev1.Exit     // as it is sent; nil: code 0
	outputs []*leasev1.Output // as they are sent
	notice  string            // about them
	later   bool              // it also sends frames of a kind that a later version has
	signs   func(*lease.TaskExited)
	onAward func(*leasev1.AwardRequest)
	blobs   store

	t      *testing.T
	name   string
	key    ed25519.PrivateKey
	id     peer.ID
	mu     sync.Mutex
	awards [][]byte
	leases map[string]*tenancy
}

// tenancy is a lease on a rig.
type tenancy struct {
	session *session.Session
	cancel  context.CancelFunc
	ended   chan struct{}
	stop    chan struct{} // closed when the task is told to end
}

func (w *rig) device() *marketv1.Device {
	tag := statement.GPUTag("test", w.name)
	return &marketv1.Device{Tag: tag[:], Model: "rtx-4090", VramBytes: 24 << 30, Price: w.price, Simulated: true}
}

func (w *rig) ask(ctx context.Context, signed *marketv1.Signed) (*marketv1.Answer, error) {
	if w.silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := pause(ctx, w.after); err != nil {
		return nil, err
	}
	ann, err := statement.OpenAnnouncement(signed)
	if err != nil {
		return nil, err
	}
	hash := ann.Hash()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case market.StampBits(hash) < w.stamp:
		d := &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_STAMP, StampBits: uint32(w.stamp), AnnouncementHash: hash[:]}
		return &marketv1.Answer{Answer: &marketv1.Answer_Decline{Decline: d}}, nil
	case w.decline != nil:
		d := proto.CloneOf(w.decline)
		d.AnnouncementHash = hash[:]
		return &marketv1.Answer{Answer: &marketv1.Answer_Decline{Decline: d}}, nil
	}
	now := time.Now()
	nonce, _ := job.NewID(reader{})
	bid, err := statement.Sign(w.key, statement.TypeBid, &marketv1.Bid{
		Version: 1, Network: "test", Worker: sessiontest.Public(w.key), AnnouncementHash: hash[:],
		Devices: []*marketv1.Device{w.device()}, Price: w.price, Nonce: nonce[:],
		IssuedMs: now.UnixMilli(), ExpiresMs: now.Add(30 * time.Second).UnixMilli(),
		StartMs: 500, MaxAbsentGraceMs: time.Minute.Milliseconds(), Simulated: true, PeerRecord: []byte("record"),
		Region: w.region,
	})
	if err != nil {
		return nil, err
	}
	return &marketv1.Answer{Answer: &marketv1.Answer_Bid{Bid: bid}}, nil
}

// free ends what the rig was busy with.
func (w *rig) free() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.decline = nil
}

// reader gives bytes that look random.
type reader struct{}

func (reader) Read(p []byte) (int, error) {
	h := statement.H("test", []byte(fmt.Sprintf("%-64d", time.Now().UnixNano()))[:64])
	return copy(p, h[:]), nil
}

func (w *rig) award(ctx context.Context, req *leasev1.AwardRequest) (*leasev1.AwardResponse, error) {
	if w.onAward != nil {
		w.onAward(req)
	}
	b, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awards = append(w.awards, b)
	if w.refuse != 0 {
		d := &marketv1.Decline{Reason: w.refuse, Text: "too\x1b[31m late"}
		return &leasev1.AwardResponse{Result: &leasev1.AwardResponse_Refused{Refused: d}}, nil
	}
	counter := statement.SignPayload(w.key, statement.TypeTerms, req.Terms.Payload)
	if err := w.begin(counter, req); err != nil {
		return nil, err
	}
	if w.lost > 0 {
		w.lost--
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &leasev1.AwardResponse{Result: &leasev1.AwardResponse_Countersigned{Countersigned: counter}}, nil
}

func (w *rig) begin(counter *marketv1.Signed, req *leasev1.AwardRequest) error {
	agreement, err := lease.NewAgreement(counter, req.Terms)
	if err != nil {
		return err
	}
	id := job.LeaseID(agreement.ID()).String()
	if w.leases[id] != nil {
		return nil
	}
	l, err := lease.New(lease.Config{Role: lease.Worker, Agreement: agreement, Sign: sessiontest.Sign(w.key)}, time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &tenancy{cancel: cancel, ended: make(chan struct{}), stop: make(chan struct{})}
	n.session = sessiontest.Worker(l, &sessiontest.Journal{}, func(ctx context.Context, ef lease.Effect) {
		switch ef.(type) {
		case lease.StartTask:
			go w.run(ctx, n)
		case lease.StopTask:
			close(n.stop)
		}
	})
	if w.leases == nil {
		w.leases = map[string]*tenancy{}
	}
	w.leases[id] = n
	go func() { _ = n.session.Run(ctx) }()
	return nil
}

// run is the task.
func (w *rig) run(ctx context.Context, n *tenancy) {
	n.session.Post(ctx, lease.TaskRunning{})
	select {
	case <-n.stop:
	case <-time.After(w.ran):
	case <-ctx.Done():
		return
	}
	close(n.ended)
	ev := lease.TaskExited{Exit: w.exited(), OutputsDigest: job.OutputsDigest(w.outputs)}
	if w.signs != nil {
		w.signs(&ev)
	}
	n.session.Post(ctx, ev)
}

func (w *rig) exited() *leasev1.Exit {
	if w.exit == nil {
		return &leasev1.Exit{}
	}
	return proto.CloneOf(w.exit)
}

func (w *rig) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.leases {
		n.cancel()
		<-n.session.Done()
	}
}

func (w *rig) tenancy(id []byte) *tenancy {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(id) != len(job.LeaseID{}) {
		return nil
	}
	return w.leases[job.LeaseID(id).String()]
}

func (w *rig) open(serve func(*session.PipeEnd)) (session.Link, error) {
	if w.away {
		return nil, errors.New("unreachable")
	}
	near, far := session.Pipe(sessiontest.Peer(w.t, requesterKey), w.id)
	go serve(far)
	return near, nil
}

func (w *rig) beat(far *session.PipeEnd) {
	var f leasev1.BeatFrame
	if far.Recv(&f) != nil {
		return
	}
	n := w.tenancy(f.GetOpen().GetLeaseId())
	if n == nil || n.session.Attach(far.Context(), far) != nil {
		_ = far.Close()
	}
}

// exec answers with the program's name, and ends with its number of arguments.
func (w *rig) exec(far *session.PipeEnd) {
	var f leasev1.ExecFrame
	if far.Recv(&f) != nil {
		return
	}
	defer far.Close()
	args := f.GetStart().GetArgs()
	if w.tenancy(f.GetStart().GetLeaseId()) == nil || len(args) == 0 {
		return
	}
	_ = far.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Stdout{Stdout: []byte(args[0])}})
	_ = far.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Ended{Ended: &leasev1.ExecEnded{Code: int32(len(args) - 1)}}})
}

func (w *rig) task(far *session.PipeEnd) {
	var req leasev1.TaskRequest
	if far.Recv(&req) != nil {
		return
	}
	defer far.Close()
	n := w.tenancy(req.LeaseId)
	if n == nil {
		return
	}
	send := func(f *leasev1.TaskFrame) {
		if w.later {
			_ = far.Send(sessiontest.Later(&leasev1.TaskFrame{}))
		}
		_ = far.Send(f)
	}
	send(&leasev1.TaskFrame{Frame: &leasev1.TaskFrame_Progress{Progress: &leasev1.Progress{Phase: leasev1.Phase_PHASE_RUNNING}}})
	if rest := w.stdout[min(int(req.StdoutOffset), len(w.stdout)):]; rest != "" {
		send(&leasev1.TaskFrame{Frame: &leasev1.TaskFrame_Chunk{Chunk: &leasev1.Chunk{Offset: req.StdoutOffset, Data: []byte(rest)}}})
	}
	select {
	case <-n.ended:
		send(&leasev1.TaskFrame{Frame: &leasev1.TaskFrame_Progress{Progress: &leasev1.Progress{Phase: leasev1.Phase_PHASE_COLLECTING, Notice: w.notice}}})
		send(&leasev1.TaskFrame{Frame: &leasev1.TaskFrame_Ended{Ended: &leasev1.Ended{Exit: w.exited(), Outputs: w.outputs}}})
	case <-far.Context().Done():
	}
}

// Blob makes a store a source.
func (s store) Blob(_ context.Context, digest string, offset int64) (io.ReadCloser, error) {
	return s.Reader(digest, offset)
}

// receipts remembers what was kept.
type receipts struct {
	mu   sync.Mutex
	fail func() error // may be nil
	kept []*leasev1.Receipt
}

func (r *receipts) KeepProof(string, *leasev1.Equivocation) error { return nil }

func (r *receipts) Keep(_ string, rec *leasev1.Receipt) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(); err != nil {
			return err
		}
	}
	r.kept = append(r.kept, rec)
	return nil
}

// standing remembers strikes.
type standing struct {
	mu      sync.Mutex
	records map[peer.ID]market.Record
	struck  []peer.ID
}

func (s *standing) Record(id peer.ID) market.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[id]
}

func (s *standing) Strike(id peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.struck = append(s.struck, id)
}
