package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/attest"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

const (
	// witnessTimeout bounds opening a stream to a witness.
	witnessTimeout = 10 * time.Second
	// witnessRetry is the pause before a witness that is away is tried again, and
	// witnessBusy before one that refused for now.
	witnessRetry = 30 * time.Second
	witnessBusy  = 5 * time.Minute
	// lastAttest is how long a lease that has ended waits for what a witness has to say
	// of its last heartbeat.
	lastAttest = 3 * time.Second
	// nonceEvery is how often a witness may give out a nonce, and nonceBurst how many at once: one
	// in ten minutes is what it should, and each may be written down.
	nonceEvery = time.Minute
	nonceBurst = 4
)

// witness keeps the lease watched by one of its witnesses, for as long as its
// session runs. A witness that is away costs the lease nothing.
func (n *tenancy) witness(ctx context.Context, index uint32) {
	log := n.log.With("witness", index)
	for {
		wait := witnessRetry
		final, err := n.watchedBy(ctx, index)
		if final {
			return
		}
		log.Debug("witness", "err", err)
		var no watchRefused
		if errors.As(err, &no) {
			log.Warn("a witness does not watch this lease", "reason", no.text)
			if wait = witnessBusy; no.final {
				return
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-n.session.Done():
		case <-timer.C:
			continue
		}
		timer.Stop()
		return
	}
}

// watchedBy opens the stream to one witness and serves it until it ends; final says
// that there is nothing more to watch.
func (n *tenancy) watchedBy(ctx context.Context, index uint32) (final bool, err error) {
	id, err := job.PeerID(n.terms.Witnesses[index])
	if err != nil {
		return true, err
	}
	dial, cancel := context.WithTimeout(ctx, witnessTimeout)
	link, err := n.w.Peers.Witness(dial, id)
	cancel()
	if err != nil {
		return false, err
	}
	defer link.Reset()
	if err := link.Send(n.watch()); err != nil {
		return false, err
	}
	lost := make(chan error, 1)
	go func() { lost <- n.hearWitness(ctx, index, link) }()
	return n.showWitness(ctx, index, link, lost)
}

// showWitness shows a witness what its nonces stand in, until the lease is over.
func (n *tenancy) showWitness(ctx context.Context, index uint32, link session.Link, lost <-chan error) (final bool, err error) {
	select {
	case <-n.shown[index]: // it was for the stream before
	default:
	}
	show := n.session.Lease().Shown(index)
	for {
		if show != nil {
			if err := link.Send(&leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Shown{Shown: show}}); err != nil {
				return false, err
			}
		}
		select {
		case show = <-n.shown[index]:
		case err := <-lost:
			return false, err
		case <-n.session.Over():
			if show := n.session.Lease().Shown(index); show != nil { // it may not have got that far
				_ = link.Send(&leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Shown{Shown: show}})
			}
			_ = link.Send(&leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Over{Over: &leasev1.Over{}}})
			n.waitWitness(ctx, lost)
			return true, nil
		case <-ctx.Done():
			return true, nil
		}
	}
}

// waitWitness waits until a witness has heard that the lease is over, and said what it
// had to say: then it ends the stream.
func (n *tenancy) waitWitness(ctx context.Context, lost <-chan error) {
	timer := time.NewTimer(witnessTimeout)
	defer timer.Stop()
	select {
	case <-lost:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watch is how a stream to a witness begins.
func (n *tenancy) watch() *leasev1.WatchFrame {
	a := n.session.Lease().Agreement
	return &leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Watch{Watch: &leasev1.Watch{
		WorkerTerms: a.Signed(lease.Worker), RequesterTerms: a.Signed(lease.Requester),
	}}}
}

// hearWitness turns what a witness says into events.
func (n *tenancy) hearWitness(ctx context.Context, index uint32, link session.Link) error {
	nonces := rate.NewLimiter(rate.Every(nonceEvery), nonceBurst)
	for {
		var f leasev1.WitnessFrame
		if err := link.Recv(&f); err != nil {
			return err
		}
		switch f := f.Frame.(type) {
		case *leasev1.WitnessFrame_Nonce:
			ev := lease.NonceReceived{Witness: index}
			if copy(ev.Nonce[:], f.Nonce.Nonce) != len(f.Nonce.Nonce) || len(f.Nonce.Nonce) != len(ev.Nonce) {
				return fmt.Errorf("a nonce of %d bytes", len(f.Nonce.Nonce))
			}
			if !nonces.AllowN(n.w.Now(), 1) {
				return watchRefused{text: "gives out more nonces than one a minute"}
			}
			n.session.Post(ctx, ev)
		case *leasev1.WitnessFrame_Attest:
			ev, err := n.session.Lease().OpenAttest(f.Attest)
			if err != nil {
				return err
			}
			n.session.Post(ctx, ev)
		case *leasev1.WitnessFrame_Refused:
			return n.takeRefusal(index, f.Refused)
		case nil: // of a kind that a later version has
		default:
			return fmt.Errorf("frame %T of a witness", f)
		}
	}
}

// show hands a beat to the goroutine of a witness, which is not waited for: what is
// lost is shown again on the next stream.
func (n *tenancy) show(ef lease.ShowWitness) {
	select {
	case n.shown[ef.Witness] <- ef.Shown:
	default:
	}
}

// watchRefused is a witness's reason not to watch.
type watchRefused struct {
	text  string
	final bool // asking again is of no use
}

func (r watchRefused) Error() string { return r.text }

// takeRefusal checks a proof that comes with a refusal: without one a witness only
// says that a device is lent twice.
func (n *tenancy) takeRefusal(index uint32, r *leasev1.WatchRefused) error {
	no := watchRefused{text: job.CleanText(r.Text), final: r.Reason != leasev1.WatchRefusal_WATCH_REFUSAL_BUSY}
	if r.Reason == leasev1.WatchRefusal_WATCH_REFUSAL_OVERLAP {
		no.final = false // the other lease ends some day
		if err := attest.CheckOverlap(n.terms, r.Overlap, n.terms.Witnesses[index]); err != nil {
			no.text = "says that a device is under another lease, and does not prove it"
		}
	}
	return no
}
