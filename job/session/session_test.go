package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

var workerKey, requesterKey = sessiontest.Key("worker"), sessiontest.Key("requester")

// side is one side of a lease under test.
type side struct {
	*session.Session
	journal *sessiontest.Journal
	err     chan error

	mu      sync.Mutex
	effects []lease.Effect
	linked  []bool
}

func newSide(l lease.Lease, linger time.Duration) *side {
	s := &side{journal: &sessiontest.Journal{}, err: make(chan error, 1)}
	s.Session = session.New(session.Config{
		Lease: l, Key: "lease", Kind: "event", Journal: s.journal, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Decode: decode,
		Perform: func(_ context.Context, ef lease.Effect) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.effects = append(s.effects, ef)
		},
		Tick: sessiontest.Tick,
		Linked: func(_ context.Context, up bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.linked = append(s.linked, up)
		},
		Linger: linger,
	})
	return s
}

func decode(f *leasev1.BeatFrame) (lease.Event, error) {
	w, r := sessiontest.Public(workerKey), sessiontest.Public(requesterKey)
	switch f := f.Frame.(type) {
	case *leasev1.BeatFrame_Challenge:
		c, err := statement.Open[*leasev1.Challenge](f.Challenge, statement.TypeChallenge, r)
		return lease.Challenged{Challenge: c}, err
	case *leasev1.BeatFrame_Beat:
		b, err := statement.Open[*leasev1.Beat](f.Beat, statement.TypeBeat, w)
		return lease.BeatReceived{Beat: b}, err
	case *leasev1.BeatFrame_Ack:
		a, err := statement.Open[*leasev1.Ack](f.Ack, statement.TypeAck, r)
		return lease.Acked{Ack: a}, err
	case *leasev1.BeatFrame_Close:
		if c, err := statement.Open[*leasev1.Close](f.Close, statement.TypeClose, w); err == nil {
			return lease.CloseReceived{Close: c}, nil
		}
		c, err := statement.Open[*leasev1.Close](f.Close, statement.TypeClose, r)
		return lease.CloseSigned{Close: c}, err
	}
	return nil, errors.New("not a frame of a lease")
}

func (s *side) run(ctx context.Context) { go func() { s.err <- s.Run(ctx) }() }

// pair runs both sides of a lease, not connected yet.
func pair(t *testing.T) (worker, requester *side) {
	t.Helper()
	lw, lr := sessiontest.Lease(t, workerKey, requesterKey, sessiontest.Terms(workerKey, requesterKey, time.Now()), time.Now())
	return newSide(lw, 0), newSide(lr, time.Minute)
}

func connect(t *testing.T, worker, requester *side) (ofWorker, ofRequester *session.PipeEnd) {
	t.Helper()
	ofWorker, ofRequester = session.Pipe(sessiontest.Peer(t, workerKey), sessiontest.Peer(t, requesterKey))
	if err := errors.Join(worker.Attach(t.Context(), ofWorker), requester.Attach(t.Context(), ofRequester)); err != nil {
		t.Fatal(err)
	}
	return ofWorker, ofRequester
}

func (s *side) state() lease.State { return s.Lease().State() }

func TestTwoSessionsKeepALeaseFromFirstChallengeToClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker, requester := pair(t)
		worker.run(t.Context())
		requester.run(t.Context())
		connect(t, worker, requester)
		worker.Post(t.Context(), lease.TaskRunning{})
		synctest.Wait()
		worker.Post(t.Context(), lease.TaskRunning{})
		time.Sleep(10 * time.Second)
		worker.Post(t.Context(), lease.TaskExited{Exit: &leasev1.Exit{EndedMs: time.Now().UnixMilli()}})
		for _, s := range []*side{worker, requester} {
			if err := <-s.err; err != nil {
				t.Error(err)
			}
			if s.state() != lease.Closed {
				t.Errorf("ended %s, want closed", s.state())
			}
		}
		if w, r := worker.Lease(), requester.Lease(); w.Beats() < 9 || !proto.Equal(w.Receipt(), r.Receipt()) {
			t.Errorf("receipts differ after %d beats", w.Beats())
		}
	})
}

// TestNothingIsSentThatIsNotDurable holds every frame against the journal of the
// side that sent it.
func TestNothingIsSentThatIsNotDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker, requester := pair(t)
		worker.run(t.Context())
		requester.run(t.Context())
		ofWorker, theirs := session.Pipe("w", "r")
		ours, ofRequester := session.Pipe("w", "r")
		// Between the two sits somebody who reads everything.
		tap := func(from, to *session.PipeEnd, sender *side) {
			for {
				var f leasev1.BeatFrame
				if from.Recv(&f) != nil {
					to.Reset()
					return
				}
				if !recorded(sender.journal, &f) {
					t.Errorf("sent before it was durable: %v", &f)
				}
				_ = to.Send(&f)
			}
		}
		go tap(theirs, ours, worker)
		go tap(ours, theirs, requester)
		if err := errors.Join(worker.Attach(t.Context(), ofWorker), requester.Attach(t.Context(), ofRequester)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		worker.Post(t.Context(), lease.TaskFailed{Exit: &leasev1.Exit{Code: 125, Error: "no"}})
		<-worker.Done()
		<-requester.Done()
		if n := requester.Lease().Beats(); n < 4 {
			t.Errorf("only %d beats were looked at", n)
		}
	})
}

func recorded(j *sessiontest.Journal, f *leasev1.BeatFrame) bool {
	for _, r := range j.Records() {
		rec, err := session.Recorded(r)
		if err != nil {
			return false
		}
		for _, s := range rec.Statements {
			for _, sent := range []proto.Message{f.GetChallenge(), f.GetBeat(), f.GetAck(), f.GetClose()} {
				if proto.Equal(sent, s) {
					return true
				}
			}
		}
	}
	return false
}

func TestAFailingJournalEndsTheSessionAndNothingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, requester := pair(t)
		full := errors.New("disk full")
		requester.journal.Before = func(journal.Record) error { return full }
		near, far := session.Pipe("a", "b")
		requester.run(t.Context())
		if err := requester.Attach(t.Context(), near); err != nil {
			near.Reset() // it was over before
		}
		if err := <-requester.err; !errors.Is(err, full) {
			t.Errorf("Run: %v", err)
		}
		if err := far.Recv(&leasev1.BeatFrame{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the other side got something, or a polite end: %v", err)
		}
		if requester.state() != lease.Waiting {
			t.Errorf("the lease went on to %s", requester.state())
		}
	})
}

func TestASlowJournalHoldsTheStatementBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, requester := pair(t)
		release := make(chan struct{})
		requester.journal.Before = func(journal.Record) error { <-release; return nil }
		near, far := session.Pipe("a", "b")
		requester.run(t.Context())
		attached := make(chan struct{})
		go func() { _ = requester.Attach(t.Context(), near); close(attached) }()
		got := make(chan error, 1)
		go func() { got <- far.Recv(&leasev1.BeatFrame{}) }()
		time.Sleep(5 * time.Second)
		select {
		case err := <-got:
			t.Fatalf("something came before it was durable: %v", err)
		default:
		}
		close(release)
		if err := <-got; err != nil {
			t.Error(err)
		}
		<-attached
		far.Reset()
		requester.Post(t.Context(), lease.Abandon{})
		<-requester.Done()
	})
}

func TestAStreamOfBadFramesIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		worker, _ := pair(t)
		worker.run(ctx)
		near, far := session.Pipe("a", "b")
		if err := worker.Attach(ctx, near); err != nil {
			t.Fatal(err)
		}
		sent, bad := 0, &leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Open{Open: &leasev1.Open{}}}
		for far.Send(bad) == nil {
			if sent++; sent > 1000 {
				t.Fatal("a thousand bad frames, and the stream is still open")
			}
			synctest.Wait()
		}
		if sent < 2 {
			t.Error("the first bad frame cut the stream; want some patience")
		}
		synctest.Wait()
		if got := fmt.Sprint(worker.linked); got != "[true false]" {
			t.Errorf("linked %s", got)
		}
		cancel()
		<-worker.Done()
	})
}

func TestFramesOfAKindThatIsNotKnownArePassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker, requester := pair(t)
		worker.run(t.Context())
		requester.run(t.Context())
		ofWorker, ofRequester := connect(t, worker, requester)
		worker.Post(t.Context(), lease.TaskRunning{})
		time.Sleep(10 * time.Second)
		before := worker.Lease().Beats()
		for range 1000 {
			f := sessiontest.Later(&leasev1.BeatFrame{})
			if err := errors.Join(ofWorker.Send(f), ofRequester.Send(f)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(10 * time.Second)
		if worker.Lease().Beats() <= before {
			t.Errorf("no beat after them: the lease is %s", worker.state())
		}
		if got := fmt.Sprint(worker.linked, requester.linked); got != "[true] [true]" {
			t.Errorf("linked %s", got)
		}
	})
}

func TestANewStreamReplacesTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		worker, requester := pair(t)
		worker.run(ctx)
		requester.run(ctx)
		old, _ := connect(t, worker, requester)
		time.Sleep(3 * time.Second)
		connect(t, worker, requester)
		synctest.Wait()
		if old.Context().Err() == nil {
			t.Error("the old stream is still open")
		}
		before := requester.Lease().Beats()
		time.Sleep(3 * time.Second)
		if after := requester.Lease().Beats(); after < before+2 {
			t.Errorf("%d beats, then %d: the lease does not go on", before, after)
		}
		cancel()
		<-worker.Done()
		<-requester.Done()
		if err := requester.Attach(t.Context(), old); !errors.Is(err, session.ErrOver) {
			t.Errorf("attach to a session that is over: %v", err)
		}
	})
}

// cutter loses what a side sends from a moment on.
type cutter struct {
	*session.PipeEnd
	lose func() bool
}

func (c *cutter) Send(m proto.Message) error {
	if c.lose() {
		c.Reset()
		return nil // it went out, and never arrived
	}
	return c.PipeEnd.Send(m)
}

func TestTheCoSignedCloseIsBroughtAgainWhenItWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker, requester := pair(t)
		worker.run(t.Context())
		requester.run(t.Context())
		ofWorker, ofRequester := session.Pipe("w", "r")
		lossy := &cutter{ofRequester, func() bool { return requester.state().Ended() }}
		if err := errors.Join(worker.Attach(t.Context(), ofWorker), requester.Attach(t.Context(), lossy)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		worker.Post(t.Context(), lease.TaskFailed{Exit: &leasev1.Exit{Code: 125, Error: "no"}})
		<-requester.Over()
		synctest.Wait()
		if worker.state() != lease.Closing {
			t.Fatalf("the worker is %s: the co-signature was not lost", worker.state())
		}
		connect(t, worker, requester)
		<-worker.Done()
		<-requester.Done()
		if !proto.Equal(worker.Lease().Receipt(), requester.Lease().Receipt()) {
			t.Error("the receipts differ")
		}
	})
}

func TestLingeringEndsWhenTheOtherSideNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worker, requester := pair(t)
		worker.run(t.Context())
		requester.run(t.Context())
		_, ofRequester := connect(t, worker, requester)
		time.Sleep(2 * time.Second)
		worker.Post(t.Context(), lease.TaskFailed{Exit: &leasev1.Exit{Code: 125, Error: "no"}})
		<-worker.Done()
		<-requester.Done() // it heard the worker leave politely
		if ofRequester.Context().Err() == nil {
			t.Error("a stream is left")
		}

		over := requester.Lease()
		late := newSide(over, time.Minute) // as after a restart
		time.Sleep(20 * time.Second)
		begun := time.Now()
		late.run(t.Context())
		<-late.Done()
		if d := time.Since(begun); d < 30*time.Second || d > 45*time.Second {
			t.Errorf("it stayed %s; want what was left of a minute", d)
		}
	})
}

func TestStoppingASessionLeavesTheLeaseAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		worker, requester := pair(t)
		worker.run(ctx)
		requester.run(ctx)
		connect(t, worker, requester)
		time.Sleep(2 * time.Second)
		cancel()
		if err := errors.Join(<-worker.err, <-requester.err); err != nil {
			t.Error(err)
		}
		if worker.state().Ended() || requester.state().Ended() {
			t.Errorf("worker %s, requester %s", worker.state(), requester.state())
		}
		worker.Post(t.Context(), lease.Tick{}) // does not block
	})
}
