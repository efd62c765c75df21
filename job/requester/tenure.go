package requester

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// The pause before a lost stream is opened again, growing from the first to the second.
const (
	redialFirst = 100 * time.Millisecond
	redialMost  = 5 * time.Second
	dialTimeout = 10 * time.Second
)

// tenure is a job's lease: its session, and the followers of its task.
type tenure struct {
	j      *run
	id     job.LeaseID
	key    string // of its records in the journal
	worker peer.ID
	terms  *leasev1.Terms
	log    *slog.Logger

	restored bool // by another run of this node than awarded it: it was away in between
	session  *session.Session
	lost     chan struct{}                 // the kept stream is gone: open another
	now      atomic.Int32                  // the task's phase, as last heard
	endFrom  atomic.Uint64                 // the first interval that was challenged after the task's end was seen
	last     atomic.Value                  // the state last told, for trouble and its end
	differs  string                        // of the session's goroutine: what was told of its worker's evidence
	stopped  atomic.Bool                   // the task was told to end for its worker's evidence
	settled  atomic.Bool                   // nothing is to be said under it any more
	closing  atomic.Bool                   // a close waits for the task's output
	full     atomic.Bool                   // the user was told that the disk is
	notice   atomic.Pointer[string]        // what the worker's owner does to the task, as last heard
	disputed atomic.Pointer[string]        // why the worker's close is not co-signed
	proposed atomic.Pointer[leasev1.Close] // by the worker: the task has ended
	enough   chan struct{}                 // closed when the user stops the job after its lease has lapsed
	enoughed sync.Once
	received chan struct{}     // closed once the task's output and outputs are all here
	ended    *leasev1.Ended    // set before received is closed, like the next two
	fetched  []*leasev1.Output // of those
	unstored []string          // why others are not here
	step     steps             // of the fetch last shown
}

func (j *run) newTenure(agreement lease.Agreement, l lease.Lease) *tenure {
	id := job.LeaseID(agreement.ID())
	worker, err := job.PeerID(agreement.Terms.Worker)
	if err != nil {
		worker = "" // NewAgreement verified a signature with this key
	}
	t := &tenure{
		j: j, id: id, key: tenureKey(j.id.String(), len(j.earlier)), worker: worker, terms: agreement.Terms,
		log:  j.log.With("lease", id.Short(), "peer", worker),
		lost: make(chan struct{}, 1), received: make(chan struct{}), enough: make(chan struct{}),
	}
	t.last.Store(l.State())
	t.lost <- struct{}{}
	t.session = session.New(session.Config{
		Lease: l, Key: t.key, Kind: KindEvent, Journal: j.r.Journal, Now: j.r.Now, Log: t.log,
		Decode: t.decode, Perform: t.perform, Tick: tick, Linked: t.linked, Stepped: t.stepped,
		Linger: time.Duration(agreement.Terms.AbsentGraceMs) * time.Millisecond,
	})
	return t
}

// tick is a passed deadline, with the randomness a challenge needs.
func tick() lease.Event {
	var ev lease.Tick
	_, _ = rand.Read(ev.Random[:]) // never fails: crypto/rand ends the process instead
	return ev
}

func (t *tenure) phase() leasev1.Phase { return leasev1.Phase(t.now.Load()) }

// keep holds the lease until it ends, and says how the job ended; nil when ctx
// ended first. The session stays a while longer in the background, until the
// worker has the co-signed close.
func (t *tenure) keep(ctx context.Context) (*leasev1.JobEnded, error) {
	side, cancel := context.WithCancel(ctx)
	var followers sync.WaitGroup
	followers.Go(func() { t.follow(side) })
	kept := make(chan error, 1)
	t.j.r.wg.Go(func() { kept <- t.hold(ctx) })
	if t.j.wantsStop() {
		t.j.r.wg.Go(func() { t.stop(stopGrace, false) })
	}
	var err error
	select {
	case <-t.session.Over():
		t.receiveLate(ctx)
	case err = <-kept:
	}
	cancel()
	followers.Wait()
	if err != nil || !t.session.Lease().State().Ended() {
		return nil, err
	}
	return t.conclude(ctx), nil
}

// hold runs the session, and keeps its stream open meanwhile.
func (t *tenure) hold(ctx context.Context) error {
	defer t.j.r.Streams.Protect(t.worker, t.id.String())()
	dialing, stop := context.WithCancel(ctx)
	var dialer sync.WaitGroup
	dialer.Go(func() { t.dial(dialing) })
	err := t.session.Run(ctx)
	stop()
	dialer.Wait()
	if l := t.session.Lease(); l.State().Ended() && len(l.Attests()) > 0 {
		t.keepReceipt(ctx) // a witness may have attested after the end
	}
	if err == nil && ctx.Err() == nil {
		t.settled.Store(true)
		t.j.retire() // unless the job has not ended yet: then its end does
	}
	return err
}

// linger brings the worker our signature under a close, when this node was
// restarted before it could.
func (t *tenure) linger(ctx context.Context) {
	if err := t.hold(ctx); err != nil {
		t.log.Warn("bring the co-signed close", "err", err)
	}
}

// dial keeps the beat stream open.
func (t *tenure) dial(ctx context.Context) {
	var p pace
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.lost:
		}
		for {
			if p.wait(ctx) != nil {
				return
			}
			if t.open(ctx) == nil {
				break
			}
		}
	}
}

// pace spaces out attempts that come to nothing, also those that end as soon as
// they have begun. One that lasted starts it anew.
type pace struct {
	last  time.Time // when the last attempt began
	delay time.Duration
}

func (p *pace) wait(ctx context.Context) error {
	if time.Since(p.last) > 2*redialMost {
		p.delay = 0
	}
	if p.delay > 0 {
		if err := pause(ctx, p.delay); err != nil {
			return err
		}
	}
	p.delay = min(max(2*p.delay, redialFirst), redialMost)
	p.last = time.Now()
	return ctx.Err()
}

// open opens the beat stream and hands it to the session.
func (t *tenure) open(ctx context.Context) error {
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	link, err := t.j.r.Streams.Beat(dial, t.worker)
	if err != nil {
		t.log.Debug("open the beat stream", "err", err)
		return err
	}
	hello := &leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Open{Open: &leasev1.Open{LeaseId: t.id[:]}}}
	if err := link.Send(hello); err != nil {
		link.Reset()
		return err
	}
	if err := t.session.Attach(ctx, link); err != nil {
		link.Reset()
		return err
	}
	return nil
}

func (t *tenure) linked(_ context.Context, up bool) {
	if up {
		if grace, wanted := t.session.Lease().StopWanted(); wanted {
			t.sendStop(grace)
		}
		return
	}
	select {
	case t.lost <- struct{}{}:
	default:
	}
}

// decode verifies a frame: only what the worker really signed becomes an event.
func (t *tenure) decode(f *leasev1.BeatFrame) (lease.Event, error) {
	switch f := f.Frame.(type) {
	case *leasev1.BeatFrame_Beat:
		b, err := statement.Open[*leasev1.Beat](f.Beat, statement.TypeBeat, t.terms.Worker)
		return lease.BeatReceived{Beat: b, Observed: t.observation(b.Message().GetInterval())}, err
	case *leasev1.BeatFrame_Close:
		c, err := statement.Open[*leasev1.Close](f.Close, statement.TypeClose, t.terms.Worker)
		if err != nil {
			return nil, err
		}
		t.closeWhenReceived(lease.CloseReceived{Close: c})
		return nil, nil
	case *leasev1.BeatFrame_Seal:
		ev, err := t.session.Lease().OpenSeal(f.Seal)
		if err != nil {
			return nil, err
		}
		return ev, nil
	case *leasev1.BeatFrame_Attest:
		ev, err := t.session.Lease().OpenAttest(f.Attest)
		if err != nil {
			return nil, err
		}
		return ev, nil
	case *leasev1.BeatFrame_Resync:
		return lease.ResyncReceived{Resync: f.Resync}, nil
	default:
		return nil, fmt.Errorf("frame %T is not for a requester", f)
	}
}

func (t *tenure) perform(_ context.Context, ef lease.Effect) {
	switch ef := ef.(type) {
	case lease.SendResync:
		t.session.Send(&leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Resync{Resync: ef.Resync}})
	case lease.SendStop:
		t.sendStop(ef.Grace)
	case lease.Beaten:
		t.j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Heartbeat{Heartbeat: &leasev1.Heartbeat{
			Seq: ef.Seq, Interval: ef.Interval, CreditMs: ef.CreditMS, Amount: ef.Amount,
		}}})
	case lease.Disputed:
		t.dispute(ef)
	case lease.Ended:
		t.log.Info("lease ended", "state", ef.State, "reason", ef.Reason)
	default:
		t.log.Error("effect not performed", "effect", fmt.Sprintf("%T", ef))
	}
}

func (t *tenure) sendStop(grace time.Duration) {
	t.session.Send(&leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Stop{Stop: &leasev1.Stop{GraceMs: grace.Milliseconds()}}})
}

// stepped tells people when the worker falls silent and when it is back. A worker
// that has sent its close waits for us.
func (t *tenure) stepped() {
	before, now := t.last.Load().(lease.State), t.session.Lease().State()
	if before == now || t.closing.Load() {
		return
	}
	t.last.Store(now)
	switch {
	case now == lease.Suspect: // how long an interval is depends on what is paid
		t.j.trouble("worker-silent", "no beat from the worker for a whole interval")
	case now == lease.Suspended:
		t.j.trouble("suspended", "no beat from the worker for %d intervals: it is not paid until it answers; the lease lapses after %s",
			t.terms.MaxUnpaid, time.Duration(t.terms.AbsentGraceMs)*time.Millisecond)
	case now == lease.Active && (before == lease.Suspect || before == lease.Suspended):
		t.j.trouble("worker-back", "the worker answers again")
	}
}

// stopGrace is what a task gets between TERM and KILL unless the user says otherwise.
const stopGrace = 10 * time.Second

// stop asks the worker to end the task, or gives the lease up.
func (t *tenure) stop(grace time.Duration, abandon bool) {
	select {
	case <-t.session.Over():
		t.enoughed.Do(func() { close(t.enough) })
		return
	default:
	}
	if abandon {
		t.session.Post(context.Background(), lease.Abandon{})
		return
	}
	t.session.Post(context.Background(), lease.StopAsked{Grace: grace})
}
