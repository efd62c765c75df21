// Package worker lends this machine's devices: it answers announcements with
// bids or typed declines, takes awards, and keeps one goroutine for each lease
// that steps the lease's rules and drives its task.
//
// It speaks to the network, the runtime and the disk through the small
// interfaces in parts.go; package node hands in what fits.
package worker

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/session"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// Policy is what the machine's owner decided.
type Policy struct {
	Floor       uint64        // micro-credits per GPU-hour
	MaxDuration time.Duration // of one lease
	Access      job.Access    // the most of a network that a task may have
	MinDuration time.Duration // the shortest limit of a lease worth its start; 0: any
	Region      string        // where the machine is; empty: not said
	Images      market.Images // those that the owner runs
	StampBits   int           // proof of work wanted of announcements; 0: none
	// Serves says whether a requester, by its peer id, is served at all; nil: all are.
	Serves         func(requester string) bool
	MaxAbsentGrace time.Duration // how long a silent requester's lease is kept
	Notice         time.Duration // before a task is ended because the owner takes the machine back
	Strangers      market.Strangers
}

// Config is everything a worker needs.
type Config struct {
	Key     ed25519.PrivateKey
	Network string
	Policy  Policy
	Machine *marketv1.Machine
	Devices *gpu.Reservations
	Dir     string // of the tasks' folders
	// Room is how many bytes a further task may have for its disk at this moment, 0 when none can be
	// made; nil: as many as the machine was measured with.
	Room func() uint64
	// Boot names this boot of the machine: what was written and not synced before the last one may be gone.
	Boot string
	// SamplesDir holds what was sampled of tasks, a file for each lease.
	SamplesDir string
	Now        func() time.Time
	// Slept is how long this machine was asleep or off, of a count of its own; nil: never.
	Slept func() time.Duration

	Cards     Cards // nil: devices that need nothing, as simulated ones do
	Runtime   runtime.Runtime
	Telemetry Telemetry // nil: no device is read
	Journal   session.Journal
	Peers     Peers
	Folders   Folders
	Commons   Commons  // nil: shared inputs come from the requester alone
	Registry  Registry // nil: no registry is asked
	Swarm     Swarm    // nil: no other worker is asked
	Receipts  session.Receipts
	Standing  Standing   // nil: every requester is a stranger
	Crowd     func() int // how many workers hear what this one hears, about; nil: few
	Log       *slog.Logger
}

// Worker lends devices. Create it with New, give it what the journal holds with
// Restore, then Run it.
type Worker struct {
	Config
	self ed25519.PublicKey

	mu        sync.Mutex
	tenancies map[string]*tenancy  // by lease id, also ended ones whose output is still here
	bids      map[[16]byte]int64   // nonce of a taken bid → when it expires, Unix ms
	bidAt     map[string]time.Time // when a device was last bid, by UUID
	accounts  accounts
	fences    *fences
	offerSeq  uint64
	heard     heard
	pace      pace          // of images
	declines  *rate.Limiter // brought to requesters
	draining  bool
	run       context.Context // set while Run is running
	wg        sync.WaitGroup
	failed    chan error
}

// New makes a worker. It starts nothing.
func New(c Config) *Worker {
	if c.Standing == nil {
		c.Standing = strangers{}
	}
	return &Worker{
		Config:    c,
		self:      c.Key.Public().(ed25519.PublicKey),
		tenancies: map[string]*tenancy{},
		bids:      map[[16]byte]int64{},
		fences:    newFences(),
		bidAt:     map[string]time.Time{},
		declines:  rate.NewLimiter(declineRate, declineBurst),
		failed:    make(chan error, 1),
	}
}

// Run keeps the leases until ctx ends. Tasks go on running then: they belong to
// the runtime, and the next Run takes them up again. It returns early only when
// a lease can no longer be recorded.
func (w *Worker) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	w.mu.Lock()
	w.run = ctx
	for _, s := range w.tenancies {
		w.start(s)
	}
	w.mu.Unlock()
	w.wg.Go(func() { w.sweep(ctx) })
	w.wg.Go(func() { w.watchBudget(ctx) })
	defer func() {
		cancel()
		w.mu.Lock()
		w.run = nil
		w.mu.Unlock()
		w.wg.Wait()
	}()
	select {
	case <-ctx.Done():
		return nil
	case err := <-w.failed:
		return err
	}
}

// start runs a tenancy's goroutine. The caller holds mu.
func (w *Worker) start(s *tenancy) {
	ctx := w.run
	w.wg.Go(func() {
		if err := s.run(ctx); err != nil {
			select {
			case w.failed <- fmt.Errorf("lease %s: %w", s.id.Short(), err):
			default:
			}
		}
	})
}

// Drain makes the worker take no new lease, or take them again; those it has go on.
func (w *Worker) Drain(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining = on
}

// SetServes changes whom this worker serves; leases that run go on.
func (w *Worker) SetServes(serves func(requester string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Policy.Serves = serves
}

// serves says whether the owner wants this requester served.
func (w *Worker) serves(requester peer.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Policy.Serves == nil || w.Policy.Serves(requester.String())
}

// SetNotice changes how much notice is promised to leases from now on.
func (w *Worker) SetNotice(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Policy.Notice = d
}

func (w *Worker) notice() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Policy.Notice
}

// Live counts the leases that have not ended.
func (w *Worker) Live() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.tenancies {
		if !s.view().State.Ended() {
			n++
		}
	}
	return n
}

// Leases lists what the worker knows of its leases, ended ones too.
func (w *Worker) Leases() []View {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []View
	for _, s := range w.tenancies {
		out = append(out, s.view())
	}
	return out
}

// Accept takes the kept stream of a lease, after its Open frame was read.
func (w *Worker) Accept(ctx context.Context, leaseID []byte, link session.Link) error {
	s, err := w.tenancy(leaseID, link.Peer())
	if err != nil {
		return err
	}
	return s.session.Attach(ctx, link)
}

// MayFetch says whether a peer may have a blob: only the requester of a lease,
// and only what that lease's task left as output.
func (w *Worker) MayFetch(from peer.ID, leaseID []byte, digest string) bool {
	s, err := w.tenancy(leaseID, from)
	return err == nil && s.outputs.holds(digest)
}

// Holds says whether a blob belongs to a lease whose output is still kept.
func (w *Worker) Holds(digest string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.tenancies {
		if s.outputs.holds(digest) {
			return true
		}
	}
	return false
}

// Uses says whether a lease that goes on needs an image, by its digest.
func (w *Worker) Uses(image string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.tenancies {
		if s.spec.Image.GetDigest() == image && !s.view().State.Ended() {
			return true
		}
	}
	return false
}

// tenancy finds a lease of this requester's. Somebody else's lease and no lease
// at all give the same answer.
func (w *Worker) tenancy(leaseID []byte, from peer.ID) (*tenancy, error) {
	var id job.LeaseID
	if copy(id[:], leaseID) != len(id) || len(leaseID) != len(id) {
		return nil, ErrNoLease
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.tenancies[id.String()]
	if !ok || s.requester != from {
		return nil, ErrNoLease
	}
	return s, nil
}

// forget drops an ended lease whose task was removed.
func (w *Worker) forget(s *tenancy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tenancies, s.id.String())
}
