// Package requester gets jobs done: it announces them, chooses among the bids,
// signs the lease, follows the task and fetches what it leaves behind. One
// goroutine holds each job, from its submission to its end.
//
// It speaks to the network and the disk through the small interfaces in
// parts.go; package node hands in what fits.
package requester

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Kinds of records in the journal. All records of a job have its id as key, but those
// of what happened under its second lease and later: see tenureKey.
const (
	KindJob      = "requester.job"      // begins a job; the event is the Submission
	KindAward    = "requester.award"    // an AwardRequest about to be sent
	KindLease    = "requester.lease"    // the worker countersigned; the event is the AwardRequest
	KindEvent    = "requester.event"    // one event of the lease
	KindReceived = "requester.received" // all the task left is here; the event is its Ended
	KindAgain    = "requester.again"    // the lease came to nothing, and the job is run again; the event is an Again
	KindEnded    = "requester.ended"    // ends a job; the event is its JobEnded
	KindForget   = "requester.forget"   // nobody wants to see a job any more that has ended
)

// Config is everything a requester needs.
type Config struct {
	Key         ed25519.PrivateKey
	Network     string
	AbsentGrace time.Duration // asked of workers
	SealRate    uint64        // squarings asked for each minute of a heartbeat's interval; 0: no seals
	Dir         string        // of the jobs' logs and histories
	Now         func() time.Time

	Market   Market
	Streams  Streams
	Content  Content
	Journal  session.Journal
	Receipts session.Receipts
	Standing Standing // nil: every worker is a stranger
	Log      *slog.Logger
}

// Requester holds jobs. Create it with New, give it what the journal holds with
// Restore, then Run it.
type Requester struct {
	Config
	self ed25519.PublicKey

	mu   sync.Mutex
	runs map[string]*run // by job id
	// remnants are of jobs that have ended; one whose worker may still wait for our word is in runs.
	remnants map[job.ID]*remnant
	asked    map[[32]byte]*auction
	shutAt   map[[32]byte]pastAuction
	seq      uint64
	ctx      context.Context // set while Run is running
	wg       sync.WaitGroup
	failed   chan error
}

// New makes a requester. It starts nothing.
func New(c Config) *Requester {
	if c.Standing == nil {
		c.Standing = strangers{}
	}
	return &Requester{
		Config:   c,
		self:     c.Key.Public().(ed25519.PublicKey),
		runs:     map[string]*run{},
		remnants: map[job.ID]*remnant{},
		asked:    map[[32]byte]*auction{},
		shutAt:   map[[32]byte]pastAuction{},
		failed:   make(chan error, 1),
	}
}

// Run holds the jobs until ctx ends; the next Run goes on with them. It returns
// early only when a job can no longer be recorded.
func (r *Requester) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	r.mu.Lock()
	r.ctx = ctx
	for _, j := range r.runs {
		r.start(j)
	}
	r.mu.Unlock()
	defer func() {
		cancel()
		r.mu.Lock()
		r.ctx = nil
		r.mu.Unlock()
		r.wg.Wait()
	}()
	select {
	case <-ctx.Done():
		return nil
	case err := <-r.failed:
		return err
	}
}

// start runs a job's goroutine. The caller holds mu.
func (r *Requester) start(j *run) {
	ctx := r.ctx
	if j.over() {
		if t := j.lease(); t != nil {
			r.wg.Go(func() { t.linger(ctx) })
		}
		return
	}
	r.wg.Go(func() {
		if err := j.pursue(ctx); err != nil {
			select {
			case r.failed <- fmt.Errorf("job %s: %w", j.id, err):
			default:
			}
		}
	})
}

// Submit takes a job. Every blob its spec names must be in the store. The submission stays the caller's.
func (r *Requester) Submit(_ context.Context, sub *leasev1.Submission) (string, error) {
	if err := job.CheckKnown(sub); err != nil {
		return "", fmt.Errorf("%w: this node is of an older version than whoever submits, and does not know all that the job asks for: %w", ErrSpec, err)
	}
	if err := job.CheckSpec(sub.GetSpec()); err != nil {
		return "", fmt.Errorf("%w: %w", ErrSpec, err)
	}
	if err := CheckWitnesses(sub); err != nil {
		return "", fmt.Errorf("%w: %w", ErrSpec, err)
	}
	if err := checkPlacement(sub); err != nil {
		return "", fmt.Errorf("%w: %w", ErrSpec, err)
	}
	if err := CheckRetries(sub.Retries); err != nil {
		return "", fmt.Errorf("%w: %w", ErrSpec, err)
	}
	content, err := closure(r.Content, sub.Spec)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSpec, err)
	}
	id, err := job.NewID(rand.Reader)
	if err != nil {
		return "", err
	}
	sub = proto.CloneOf(sub)
	if t := sub.Spec.TimeoutMs; t > 0 { // both are counted from the task's start
		sub.MaxDurationMs = min(orElse(sub.MaxDurationMs, t), t)
	}
	event, err := proto.Marshal(sub)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(r.Dir, id.String()), 0o700); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil {
		return "", fmt.Errorf("this node is stopping")
	}
	now := r.Now()
	if err := r.Journal.Append(journal.Record{Key: id.String(), Kind: KindJob, At: now, Event: event}); err != nil {
		return "", fmt.Errorf("journal job %s: %w", id, err)
	}
	j := r.newRun(id, sub, content, now)
	r.runs[id.String()] = j
	r.start(j)
	return id.String(), nil
}

// Stop asks a job's task to end; with abandon its lease is given up without
// waiting for the worker. A job that still searches ends at once.
func (r *Requester) Stop(_ context.Context, id string, grace time.Duration, abandon bool) error {
	j, err := r.find(id)
	if err != nil {
		return err
	}
	return j.stop(grace, abandon)
}

// MayFetch says whether a peer may have a blob: only the worker of a lease, and
// only what its job needs.
func (r *Requester) MayFetch(from peer.ID, leaseID []byte, digest string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.runs {
		if j.entitles(from, leaseID, digest) {
			return true
		}
	}
	return false
}

// Holds says whether a blob is needed by a job that has not ended, or was brought here
// for one a moment ago. KeptOutputs are those of jobs that have.
func (r *Requester) Holds(digest string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.runs {
		if j.needs(digest) {
			return true
		}
	}
	return false
}
