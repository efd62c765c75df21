package sessiontest

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Requester is a requester that challenges, acks and co-signs whatever is right,
// and does nothing else.
func Requester(l lease.Lease, j session.Journal) *session.Session {
	worker := l.Agreement.Key(lease.Worker)
	return session.New(session.Config{
		Lease: l, Key: "requester", Kind: "event", Journal: j, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Decode: func(f *leasev1.BeatFrame) (lease.Event, error) {
			switch f := f.Frame.(type) {
			case *leasev1.BeatFrame_Beat:
				b, err := statement.Open[*leasev1.Beat](f.Beat, statement.TypeBeat, worker)
				return lease.BeatReceived{Beat: b}, err
			case *leasev1.BeatFrame_Close:
				c, err := statement.Open[*leasev1.Close](f.Close, statement.TypeClose, worker)
				return lease.CloseReceived{Close: c}, err
			case *leasev1.BeatFrame_Resync:
				return lease.ResyncReceived{Resync: f.Resync}, nil
			}
			return nil, errors.New("not a frame for a requester")
		},
		Perform: func(context.Context, lease.Effect) {},
		Tick:    Tick,
		Linger:  time.Minute,
	})
}

// Worker is a worker that answers challenges and hears acks and co-signed closes,
// and leaves the task to perform.
func Worker(l lease.Lease, j session.Journal, perform func(context.Context, lease.Effect)) *session.Session {
	requester := l.Agreement.Key(lease.Requester)
	return session.New(session.Config{
		Lease: l, Key: "worker", Kind: "event", Journal: j, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Decode: func(f *leasev1.BeatFrame) (lease.Event, error) {
			switch f := f.Frame.(type) {
			case *leasev1.BeatFrame_Challenge:
				c, err := statement.Open[*leasev1.Challenge](f.Challenge, statement.TypeChallenge, requester)
				return lease.Challenged{Challenge: c}, err
			case *leasev1.BeatFrame_Ack:
				a, err := statement.Open[*leasev1.Ack](f.Ack, statement.TypeAck, requester)
				return lease.Acked{Ack: a}, err
			case *leasev1.BeatFrame_Close:
				c, err := statement.Open[*leasev1.Close](f.Close, statement.TypeClose, requester)
				return lease.CloseSigned{Close: c}, err
			case *leasev1.BeatFrame_Stop:
				return lease.StopAsked{Grace: time.Duration(f.Stop.GraceMs) * time.Millisecond}, nil
			}
			return nil, errors.New("not a frame for a worker")
		},
		Perform: perform,
		Tick:    func() lease.Event { return lease.Tick{} },
	})
}

// Tick is a passed deadline, with fresh randomness.
func Tick() lease.Event {
	var t lease.Tick
	_, _ = rand.Read(t.Random[:])
	return t
}
