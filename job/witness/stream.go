package witness

import (
	"context"
	"errors"
	"time"

	"github.com/rigmesh/rigmesh/job/attest"
	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// stream is one worker's stream for one lease.
type stream struct {
	w      *Witness
	k      *watched
	link   session.Link
	number uint64
}

// errReplaced: the worker opened another stream for this lease.
var errReplaced = errors.New("another stream took over")

// run gives out nonces when they are due and answers what is shown.
func (s stream) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	frames, lost := make(chan *leasev1.WatchFrame), make(chan error, 1)
	go s.read(ctx, frames, lost)
	for {
		timer := time.NewTimer(s.untilDue())
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case err := <-lost:
			timer.Stop()
			return err
		case f := <-frames:
			timer.Stop()
			if over, err := s.handle(f); over || err != nil {
				return err
			}
		case <-timer.C:
			if err := s.ask(); err != nil {
				return err
			}
		}
	}
}

func (s stream) read(ctx context.Context, frames chan<- *leasev1.WatchFrame, lost chan<- error) {
	for {
		f := &leasev1.WatchFrame{}
		if err := s.link.Recv(f); err != nil {
			lost <- err
			return
		}
		select {
		case frames <- f:
		case <-ctx.Done():
			return
		}
	}
}

func (s stream) untilDue() time.Duration {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return max(0, s.k.Due().Sub(s.w.Now()))
}

// ask gives out a nonce if it is time.
func (s stream) ask() error {
	s.w.mu.Lock()
	if s.k.stream != s.number {
		s.w.mu.Unlock()
		return errReplaced
	}
	next, nonce := s.k.Ask(s.w.Now(), random())
	s.k.Watch = next
	s.w.mu.Unlock()
	if nonce == nil {
		return nil
	}
	return s.link.Send(&leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Nonce{Nonce: nonce}})
}

// handle deals with one frame; over says that it was the last.
func (s stream) handle(f *leasev1.WatchFrame) (over bool, err error) {
	switch f := f.Frame.(type) {
	case *leasev1.WatchFrame_Shown:
		signed, err := s.w.attest(s.k, f.Shown)
		if errors.Is(err, attest.ErrNotAsked) {
			return false, nil // its nonce was lost in a restart of ours: there will be another
		}
		if err != nil {
			return false, err
		}
		return false, s.link.Send(&leasev1.WitnessFrame{Frame: &leasev1.WitnessFrame_Attest{Attest: signed}})
	case *leasev1.WatchFrame_Over:
		return true, s.w.end(s.k)
	case nil: // of a kind that a later version has
		return false, nil
	}
	return false, refuse(leasev1.WatchRefusal_WATCH_REFUSAL_INVALID, "a frame that does not belong here")
}
