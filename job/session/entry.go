package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Journal is where records become durable before Append returns.
type Journal interface {
	Append(journal.Record) error
}

// refused wraps the reason why an event came to nothing.
type refused struct{ reason error }

func (r refused) Error() string { return "event refused: " + r.reason.Error() }
func (r refused) Unwrap() error { return r.reason }

// muteFor is how long a session whose rules asked for what the guard refuses leaves
// its timer alone: they would ask again at once.
const muteFor = time.Minute

// step applies an event. What it decided is durable when step returns, which is when the
// disk has room for it; only then may the effects be performed. A refused event leaves everything as it was; any
// other error means that the journal no longer takes records.
func (s *Session) step(ctx context.Context, ev lease.Event) ([]lease.Effect, error) {
	now := s.Now()
	was := s.lease.Load()
	next, effects, err := was.Step(now, ev)
	if err != nil {
		return nil, refused{err}
	}
	if was.Repeats(ev, next, effects) {
		return effects, nil
	}
	event, err := lease.MarshalEvent(ev)
	if err != nil {
		return nil, fmt.Errorf("record event of %s: %w", s.Key, err)
	}
	statements, err := marshalStatements(effects)
	if err != nil {
		return nil, fmt.Errorf("record statements of %s: %w", s.Key, err)
	}
	rec := journal.Record{Key: s.Key, Kind: s.Kind, At: now, Event: event, Statements: statements}
	full := func(err error) { s.Log.Warn("the lease waits for room on the disk", "err", err) }
	if err := journal.Insist(ctx, s.Journal, rec, full); errors.Is(err, ErrSlot) {
		s.mute = now.Add(muteFor)
		s.Log.Error("this node was about to contradict itself, and does not", "event", fmt.Sprintf("%T", ev), "err", err)
		return nil, refused{err}
	} else if err != nil {
		return nil, fmt.Errorf("journal %s: %w", s.Key, err)
	}
	s.lease.Store(&next)
	return effects, nil
}

func marshalStatements(effects []lease.Effect) ([][]byte, error) {
	var out [][]byte
	for _, ef := range effects {
		send, ok := ef.(lease.Send)
		if !ok {
			continue
		}
		b, err := proto.Marshal(send.Statement)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// Recorded is a journal record as lease.Replay wants it.
func Recorded(rec journal.Record) (lease.Recorded, error) {
	out := lease.Recorded{Now: rec.At, Event: rec.Event}
	for _, b := range rec.Statements {
		var s marketv1.Signed
		if err := proto.Unmarshal(b, &s); err != nil {
			return lease.Recorded{}, fmt.Errorf("statement in the journal: %w", err)
		}
		out.Statements = append(out.Statements, &s)
	}
	return out, nil
}
