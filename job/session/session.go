// Package session is the goroutine of one lease, the same for worker and
// requester: it steps the pure rules of job/lease, makes every step durable
// before anyone acts on it, and keeps the stream to the other side. What the
// two roles do differently they hand in as functions.
package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/rigmesh/rigmesh/job/lease"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// ErrOver: the session no longer runs.
var ErrOver = errors.New("the lease's session is over")

// Config is what a session needs of its role. Its functions but Decode run in the
// session's goroutine and must not block; the ctx they get is that of Run.
type Config struct {
	Lease   lease.Lease
	Key     string // of the lease's records in the journal
	Kind    string // of its event records
	Journal Journal
	Now     func() time.Time
	// Slept is how long this machine was asleep or off, of a count of its own that
	// never falls. It is nil where that does not matter.
	Slept func() time.Duration
	Log   *slog.Logger

	// Decode verifies a frame and makes it an event; a nil event is no event.
	Decode func(*leasev1.BeatFrame) (lease.Event, error)
	// Perform does what the rules decided, but for sending statements.
	Perform func(context.Context, lease.Effect)
	// Tick makes the event for a deadline that has passed.
	Tick func() lease.Event
	// Linked is told when a stream came up or was lost. It may be nil.
	Linked func(ctx context.Context, up bool)
	// Stepped is called after each step. It may be nil.
	Stepped func()
	// Linger is how long a session whose lease has ended stays to make sure that
	// the other side has our last word, and for what witnesses still have to say.
	Linger time.Duration
}

// Session is one lease being kept. Run it once.
type Session struct {
	Config
	lease  atomic.Pointer[lease.Lease]
	link   Link      // of the goroutine; nil while the other side is away
	until  time.Time // of the goroutine; when lingering ends
	heard  bool      // of the goroutine; the other side has our last word
	mute   time.Time // of the goroutine; no timer before this
	events chan lease.Event
	links  chan Link
	parted chan parting
	over   chan struct{}
	done   chan struct{}
}

// New makes a session. It starts nothing.
func New(c Config) *Session {
	s := &Session{
		Config: c, events: make(chan lease.Event), links: make(chan Link),
		parted: make(chan parting), over: make(chan struct{}), done: make(chan struct{}),
	}
	s.lease.Store(&c.Lease)
	return s
}

// Lease is the lease as it stands. Safe from any goroutine.
func (s *Session) Lease() lease.Lease { return *s.lease.Load() }

// Over is closed when the lease has ended. The session may live on for a while,
// to bring its last word to the other side.
func (s *Session) Over() <-chan struct{} { return s.over }

// Done is closed when Run has returned.
func (s *Session) Done() <-chan struct{} { return s.done }

// Post sends the session an event. It gives up when ctx ends or the session is over.
func (s *Session) Post(ctx context.Context, ev lease.Event) {
	select {
	case s.events <- ev:
	case <-s.done:
	case <-ctx.Done():
	}
}

// Attach hands the session a new stream to the other side; an older one is let go.
func (s *Session) Attach(ctx context.Context, link Link) error {
	select {
	case s.links <- link:
		return nil
	case <-s.done:
		return ErrOver
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run lives as long as the lease, and until the other side has our last word or
// that was waited for long enough; or until ctx ends. An error means that the
// lease could not be recorded.
func (s *Session) Run(ctx context.Context) error {
	defer func() {
		s.part()
		close(s.done)
	}()
	s.noteEnd()
	for !s.finished() {
		if err := s.next(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	return nil
}

// noteEnd says once that the lease has ended, and begins to linger.
func (s *Session) noteEnd() {
	if !s.Lease().State().Ended() || !s.until.IsZero() {
		return
	}
	s.until = s.Lease().Changed().Add(s.Linger) // a restart does not begin it anew
	close(s.over)
}

// finished says whether nothing is left to say.
func (s *Session) finished() bool {
	l := s.Lease()
	waits := len(l.Pending()) > 0 && !s.heard || l.Unattested()
	return l.State().Ended() && (!waits || !s.Now().Before(s.until))
}

// next waits for one thing to happen and deals with it.
func (s *Session) next(ctx context.Context) error {
	timer := time.NewTimer(s.untilDeadline())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case link := <-s.links:
		s.take(ctx, link)
		return nil
	case p := <-s.parted:
		s.lose(ctx, p)
		return nil
	case ev := <-s.events:
		return s.handle(ctx, ev)
	case <-timer.C:
		if s.Lease().State().Ended() {
			return nil
		}
		return s.handle(ctx, s.Tick())
	}
}

// untilDeadline is how long nothing changes by itself.
func (s *Session) untilDeadline() time.Duration {
	d := s.Lease().Deadline()
	if !s.until.IsZero() {
		d = s.until
	}
	if d.IsZero() {
		return time.Hour
	}
	if d.Before(s.mute) {
		d = s.mute
	}
	return max(0, d.Sub(s.Now()))
}

// handle tells the rules what the machine slept since they last heard, and then of
// the event.
func (s *Session) handle(ctx context.Context, ev lease.Event) error {
	if s.Slept != nil {
		if total := s.Slept(); (total - s.Lease().Asleep()).Abs() >= leastSleep {
			if err := s.apply(ctx, lease.Slept{Total: total}); err != nil {
				return err
			}
		}
	}
	return s.apply(ctx, ev)
}

// leastSleep is from when on a sleep is one: two clocks are never read at one moment.
const leastSleep = 100 * time.Millisecond

// apply steps the lease, then does what it decided.
func (s *Session) apply(ctx context.Context, ev lease.Event) error {
	effects, err := s.step(ctx, ev)
	var no refused
	if errors.As(err, &no) {
		s.Log.Debug("event refused", "event", fmt.Sprintf("%T", ev), "err", no.reason)
		return nil // a peer's bad event, or one that is late, is not our failure
	}
	if err != nil {
		return err
	}
	for _, ef := range effects {
		switch ef := ef.(type) {
		case lease.Send:
			s.Send(frame(ef.Statement))
		default:
			s.Perform(ctx, ef)
		}
	}
	if s.Stepped != nil {
		s.Stepped()
	}
	s.noteEnd()
	return nil
}
