package session_test

import (
	"bytes"
	"context"
	"errors"
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

var leaseA, leaseB = bytes.Repeat([]byte{0xa}, 32), bytes.Repeat([]byte{0xb}, 32)

// saying is a record with statements, signed with the worker's key.
func saying(t *testing.T, messages ...proto.Message) journal.Record {
	t.Helper()
	rec := journal.Record{Key: "k", Kind: "event"}
	for _, m := range messages {
		var typ statement.Type
		switch m.(type) {
		case *leasev1.Terms:
			typ = statement.TypeTerms
		case *leasev1.Challenge:
			typ = statement.TypeChallenge
		case *leasev1.Beat:
			typ = statement.TypeBeat
		case *leasev1.Ack:
			typ = statement.TypeAck
		case *leasev1.Close:
			typ = statement.TypeClose
		case *leasev1.Attest:
			typ = statement.TypeAttest
		}
		payload, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		b, err := proto.Marshal(statement.SignPayload(workerKey, typ, payload))
		if err != nil {
			t.Fatal(err)
		}
		rec.Statements = append(rec.Statements, b)
	}
	return rec
}

func TestTheGuardLetsEachSlotBeUsedForOneStatement(t *testing.T) {
	self := sessiontest.Public(workerKey)
	for _, c := range []struct {
		name   string
		first  proto.Message
		then   proto.Message
		refuse bool
	}{
		{"the same beat again", &leasev1.Beat{LeaseId: leaseA, Interval: 3}, &leasev1.Beat{LeaseId: leaseA, Interval: 3}, false},
		{"another beat for the interval", &leasev1.Beat{LeaseId: leaseA, Interval: 3}, &leasev1.Beat{LeaseId: leaseA, Interval: 3, CreditMs: 1}, true},
		{"a beat for an earlier interval", &leasev1.Beat{LeaseId: leaseA, Interval: 3}, &leasev1.Beat{LeaseId: leaseA, Interval: 2}, true},
		{"a beat for a later interval", &leasev1.Beat{LeaseId: leaseA, Interval: 3}, &leasev1.Beat{LeaseId: leaseA, Interval: 4}, false},
		{"a beat of another lease", &leasev1.Beat{LeaseId: leaseA, Interval: 3}, &leasev1.Beat{LeaseId: leaseB, Interval: 3, CreditMs: 1}, false},
		{"an ack beside a beat", &leasev1.Beat{LeaseId: leaseA, Interval: 3}, &leasev1.Ack{LeaseId: leaseA, Interval: 3}, false},
		{"another ack of the beat", &leasev1.Ack{LeaseId: leaseA, Seq: 2, Interval: 2}, &leasev1.Ack{LeaseId: leaseA, Seq: 2, Interval: 3}, true},
		{"another ack in the interval", &leasev1.Ack{LeaseId: leaseA, Seq: 2, Interval: 2}, &leasev1.Ack{LeaseId: leaseA, Seq: 3, Interval: 2}, true},
		{"the next ack", &leasev1.Ack{LeaseId: leaseA, Seq: 2, Interval: 2}, &leasev1.Ack{LeaseId: leaseA, Seq: 3, Interval: 3}, false},
		{"another challenge", &leasev1.Challenge{LeaseId: leaseA, Interval: 1}, &leasev1.Challenge{LeaseId: leaseA, Interval: 1, Nonce: leaseB}, true},
		{"another close", &leasev1.Close{LeaseId: leaseA}, &leasev1.Close{LeaseId: leaseA, CreditMs: 1}, true},
		{"the same close", &leasev1.Close{LeaseId: leaseA}, &leasev1.Close{LeaseId: leaseA}, false},
		{"another head of the beat", &leasev1.Attest{LeaseId: leaseA, Seq: 1}, &leasev1.Attest{LeaseId: leaseA, Seq: 1, Head: leaseB}, true},
		{"an earlier head", &leasev1.Attest{LeaseId: leaseA, Seq: 1}, &leasev1.Attest{LeaseId: leaseA, Seq: 0}, true},
		{"other terms for one bid", &leasev1.Terms{Worker: self, WorkerNonce: leaseA[:16]}, &leasev1.Terms{Worker: self, WorkerNonce: leaseA[:16], Price: 1}, true},
		{"terms for another bid", &leasev1.Terms{Worker: self, WorkerNonce: leaseA[:16]}, &leasev1.Terms{Worker: self, WorkerNonce: leaseB[:16]}, false},
		{"another worker's terms", &leasev1.Terms{WorkerNonce: leaseA[:16]}, &leasev1.Terms{WorkerNonce: leaseA[:16], Price: 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := &sessiontest.Journal{}
			first := session.NewGuard(kept, self)
			if err := first.Append(saying(t, c.first)); err != nil {
				t.Fatal(err)
			}
			again := session.NewGuard(kept, self) // a restart
			if err := again.Learn(kept.Replay); err != nil {
				t.Fatal(err)
			}
			for name, g := range map[string]*session.Guard{"at once": first, "after a restart": again} {
				if err := g.Append(saying(t, c.then)); errors.Is(err, session.ErrSlot) != c.refuse {
					t.Errorf("%s: %v", name, err)
				}
			}
			if got := len(kept.Records()); c.refuse && got != 1 {
				t.Errorf("%d records; what is refused leaves no trace", got)
			}
		})
	}
}

func TestARecordTakesAllItsSlotsOrNone(t *testing.T) {
	g := session.NewGuard(&sessiontest.Journal{}, sessiontest.Public(workerKey))
	if err := g.Append(saying(t, &leasev1.Ack{LeaseId: leaseA, Seq: 2, Interval: 2})); err != nil {
		t.Fatal(err)
	}
	both := saying(t, &leasev1.Beat{LeaseId: leaseA, Interval: 9}, &leasev1.Ack{LeaseId: leaseA, Seq: 2, Interval: 9})
	if err := g.Append(both); !errors.Is(err, session.ErrSlot) {
		t.Fatal(err)
	}
	if err := g.Append(saying(t, &leasev1.Beat{LeaseId: leaseA, Interval: 8})); err != nil {
		t.Errorf("a slot of a refused record is taken: %v", err)
	}
	if err := g.Append(journal.Record{Statements: [][]byte{{1, 2, 3}}}); err == nil {
		t.Error("what cannot be read is taken for no statement")
	}
}

// TestNothingThatTheGuardRefusesLeavesTheSession gives a session rules that forgot
// what they signed, as a broken state machine would: a lease from before its beats.
func TestNothingThatTheGuardRefusesLeavesTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lw, lr := sessiontest.Lease(t, workerKey, requesterKey, sessiontest.Terms(workerKey, requesterKey, time.Now()), time.Now())
		kept := &sessiontest.Journal{}
		guard := session.NewGuard(kept, sessiontest.Public(workerKey))
		play := func() (lease.Lease, int) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			j := &sessiontest.Journal{}
			requester := sessiontest.Requester(lr, j)
			worker := sessiontest.Worker(lw, guard, func(context.Context, lease.Effect) {})
			done := make(chan error, 2)
			for _, s := range []*session.Session{worker, requester} {
				go func() { done <- s.Run(ctx) }()
			}
			a, b := session.Pipe("w", "r")
			if err := errors.Join(worker.Attach(ctx, a), requester.Attach(ctx, b)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
			cancel()
			if err := errors.Join(<-done, <-done); err != nil {
				t.Error(err)
			}
			return worker.Lease(), len(j.Records())
		}
		first, _ := play()
		if first.Beats() != 1 {
			t.Fatalf("%d beats in the first interval", first.Beats())
		}
		before := len(kept.Records())
		second, heard := play() // the requester's challenge has another nonce now
		if second.Beats() != 0 || len(kept.Records()) != before || heard != 1 {
			t.Errorf("%d beats, %d records, %d at the requester: a second beat was said for interval 0", second.Beats(), len(kept.Records())-before, heard)
		}
	})
}
