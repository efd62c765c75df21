package worker

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// View is a lease as others may see it.
type View struct {
	ID        job.LeaseID
	Requester peer.ID
	JobID     job.ID
	Name      string
	Image     string
	State     lease.State
	Phase     leasev1.Phase
	CreditMS  uint64
	Amount    uint64
	Beats     uint64
	Created   time.Time
	LatestEnd time.Time // when the lease ends at the latest
	Price     uint64    // micro-credits per GPU-hour
	Devices   int
	Exit      *leasev1.Exit
	EnergyMJ  uint64 // millijoules that its devices drew so far, by the samples behind its heartbeats
}

// tenancy is one lease on this worker: its session, its task, and what is left
// of the task afterwards.
type tenancy struct {
	w             *Worker
	id            job.LeaseID
	requester     peer.ID
	terms         *leasev1.Terms
	spec          *marketv1.Spec
	countersigned *marketv1.Signed
	created       time.Time
	shown         []chan *leasev1.Shown // to each witness of the terms
	stranger      bool                  // it had not paid for anything when it was awarded
	origins       []netip.Prefix        // of the requester
	settled       bool
	short         bool // a device of it was gone after a restart
	restored      bool // by another run of this node than took the award: nobody could come in between
	log           *slog.Logger

	session  *session.Session
	task     *task // of the session's goroutine; nil before the first challenge
	past     past
	board    *board
	outputs  *outputs
	samples  atomic.Pointer[samples] // of the task; nil before it runs
	freezes  atomic.Uint64           // of the task so far
	touched  atomic.Int64            // Unix ms of the last step
	sealable chan struct{}           // nudges the sealer
	dialing  atomic.Bool             // reconnect is at it
	execs    atomic.Int32            // programs beside its job
	opened   atomic.Int32            // connections to ports of the task
	load     atomic.Uint64           // of processors in the last second, in thousandths of a core
	own      gpu.Own                 // processes of the task; of the goroutine that samples it
	standing sync.Mutex              // over what changes still
	still    atomic.Bool             // the requester has the task stand still
	wishes   *rate.Limiter           // of the requester for that
	wished   chan struct{}           // nudges the task: still has changed
	evict    sync.Once
	evicted  chan struct{} // closed when what is left has to make room
}

// past is how far a task had come when this worker last ran.
type past struct {
	running bool
	ended   *leasev1.Ended
}

func (w *Worker) newTenancy(id job.LeaseID, a award, counter *marketv1.Signed, l lease.Lease) *tenancy {
	t := &tenancy{
		w: w, id: id, requester: a.from, terms: a.terms.Message(), spec: a.spec,
		countersigned: counter, created: w.Now(), board: newBoard(), outputs: &outputs{}, evicted: make(chan struct{}), sealable: make(chan struct{}, 1), wished: make(chan struct{}, 1),
		wishes: rate.NewLimiter(rate.Every(wishEvery), wishBurst),
		log:    w.Log.With("lease", id.Short(), "peer", a.from),
	}
	t.touched.Store(w.Now().UnixMilli())
	for range t.terms.Witnesses {
		t.shown = append(t.shown, make(chan *leasev1.Shown, 1))
	}
	t.session = session.New(session.Config{
		Lease: l, Key: id.String(), Kind: KindEvent, Journal: w.Journal, Now: w.Now, Slept: w.Slept, Log: t.log,
		Decode: t.decode, Perform: t.perform, Linked: t.linked,
		Tick: func() lease.Event { return lease.Tick{} }, Stepped: t.stepped, Linger: lastAttest,
	})
	return t
}

// stepped gives the devices back as soon as the task is over: a requester that
// takes its time over the close holds nobody else up.
func (n *tenancy) stepped() {
	n.touched.Store(n.w.Now().UnixMilli())
	n.nudge()
	if n.session.Lease().State() == lease.Closing {
		n.w.Config.Devices.Release(n.id.String())
	}
}

// needsDevices says whether a lease's task may still run.
func needsDevices(s lease.State) bool { return s != lease.Closing && !s.Ended() }

func (n *tenancy) view() View {
	l := n.session.Lease()
	return View{
		ID: n.id, Requester: n.requester, JobID: job.ID(n.terms.JobId),
		Name: n.spec.Name, Image: n.spec.Image.Name, State: l.State(), Phase: n.board.phase(),
		CreditMS: l.CreditMS(), Amount: l.Amount(), Beats: l.Beats(), Created: n.created,
		LatestEnd: n.created.Add(time.Duration(n.terms.MaxDurationMs) * time.Millisecond),
		Exit:      n.board.exit(), Price: n.terms.Price, Devices: len(n.terms.GpuTags),
		EnergyMJ: n.energy(),
	}
}

// run lives as long as the lease and what is left of it. An error means that
// the lease could not be recorded.
func (n *tenancy) run(ctx context.Context) error {
	defer n.closeSamples()
	defer n.w.Peers.Protect(n.requester, n.id.String())()
	n.resume(ctx)
	if n.short {
		n.w.wg.Go(func() { n.yield(ctx, 0, "a device of it is gone") })
	}
	if n.terms.SealSuite != job.SealNone {
		n.w.wg.Go(func() { n.sealing(ctx) })
	}
	for i := range n.shown {
		n.w.wg.Go(func() { n.witness(ctx, uint32(i)) })
	}
	if err := n.session.Run(ctx); err != nil {
		n.task.wait()
		return err
	}
	if n.session.Lease().State().Ended() {
		n.finish(ctx)
	}
	n.task.wait()
	return nil
}

// decode verifies a frame: only what the requester really signed becomes an event.
func (n *tenancy) decode(f *leasev1.BeatFrame) (lease.Event, error) {
	key, err := job.PublicKey(n.requester)
	if err != nil {
		return nil, err
	}
	switch f := f.Frame.(type) {
	case *leasev1.BeatFrame_Challenge:
		c, err := statement.Open[*leasev1.Challenge](f.Challenge, statement.TypeChallenge, key)
		if err != nil {
			return nil, err
		}
		return lease.Challenged{Challenge: c, Evidence: n.evidence(n.session.Lease().SamplesFrom(c.Message()))}, nil
	case *leasev1.BeatFrame_Ack:
		a, err := statement.Open[*leasev1.Ack](f.Ack, statement.TypeAck, key)
		return lease.Acked{Ack: a}, err
	case *leasev1.BeatFrame_Close:
		c, err := statement.Open[*leasev1.Close](f.Close, statement.TypeClose, key)
		return lease.CloseSigned{Close: c}, err
	case *leasev1.BeatFrame_Resync:
		return lease.ResyncReceived{Resync: f.Resync}, nil
	case *leasev1.BeatFrame_Stop:
		grace := min(max(0, f.Stop.GraceMs), maxStopGrace.Milliseconds())
		return lease.StopAsked{Grace: time.Duration(grace) * time.Millisecond}, nil
	default:
		return nil, fmt.Errorf("frame %T is not for a worker", f)
	}
}

func (n *tenancy) perform(ctx context.Context, ef lease.Effect) {
	switch ef := ef.(type) {
	case lease.SendResync:
		n.session.Send(&leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Resync{Resync: ef.Resync}})
	case lease.SendSeal:
		n.session.Send(&leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Seal{Seal: ef.Seal}})
	case lease.SendAttest:
		n.session.Send(&leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Attest{Attest: ef.Attest}})
	case lease.ShowWitness:
		n.show(ef)
	case lease.StartTask:
		n.startTask(ctx)
	case lease.StopTask:
		n.task.stop(ctx, ef.Grace)
	case lease.FreezeTask:
		n.task.freeze(ctx)
	case lease.ThawTask:
		n.task.thaw(ctx)
	case lease.Beaten:
		n.log.Debug("beat co-signed", "seq", ef.Seq, "credit_ms", ef.CreditMS)
	case lease.Ended:
		n.log.Info("lease ended", "state", ef.State, "reason", ef.Reason)
	default:
		n.log.Error("effect not performed", "effect", fmt.Sprintf("%T", ef))
	}
}

// redialEvery is how often a requester that is away is dialled. It opens the
// stream; we only make sure that there is a connection to open it on.
const redialEvery = 5 * time.Second

func (n *tenancy) linked(ctx context.Context, up bool) {
	if !up {
		n.reconnect(ctx)
	}
}

// reconnect dials a requester that went away until it is connected, in the background.
func (n *tenancy) reconnect(ctx context.Context) {
	if n.dialing.CompareAndSwap(false, true) {
		n.w.wg.Go(func() {
			defer n.dialing.Store(false)
			n.redial(ctx)
		})
	}
}

func (n *tenancy) redial(ctx context.Context) {
	for {
		dial, cancel := context.WithTimeout(ctx, redialEvery)
		err := n.w.Peers.Connect(dial, n.requester)
		cancel()
		if err == nil || !pause(ctx, redialEvery) {
			return
		}
		select {
		case <-n.session.Done():
			return
		default:
		}
	}
}
