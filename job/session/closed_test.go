package session_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// guarded is a guard over what a folder's journal holds.
func guarded(t *testing.T, folder journal.FS) *session.Guard {
	t.Helper()
	j, err := journal.OpenFS(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	g := session.NewGuard(j, sessiontest.Public(workerKey))
	if err := g.Learn(j.Replay); err != nil {
		t.Fatal(err)
	}
	return g
}

// say appends statements, each in a record of its own.
func say(t *testing.T, g *session.Guard, messages ...proto.Message) {
	t.Helper()
	for _, m := range messages {
		if err := g.Append(saying(t, m)); err != nil {
			t.Fatalf("%T: %v", m, err)
		}
	}
}

// lived is what both sides of a lease say up to its close.
func lived(id []byte) []proto.Message {
	return []proto.Message{
		&leasev1.Challenge{LeaseId: id, Interval: 3}, &leasev1.Beat{LeaseId: id, Interval: 3},
		&leasev1.Ack{LeaseId: id, Seq: 2, Interval: 3}, &leasev1.Close{LeaseId: id, CreditMs: 7},
	}
}

func TestTheGuardLetsNothingElseBeSaidUnderAClosedLease(t *testing.T) {
	for name, m := range map[string]proto.Message{
		"the same challenge":         &leasev1.Challenge{LeaseId: leaseA, Interval: 3},
		"another challenge":          &leasev1.Challenge{LeaseId: leaseA, Interval: 3, Nonce: leaseB},
		"a later challenge":          &leasev1.Challenge{LeaseId: leaseA, Interval: 4},
		"another beat":               &leasev1.Beat{LeaseId: leaseA, Interval: 3, CreditMs: 1},
		"an earlier beat":            &leasev1.Beat{LeaseId: leaseA, Interval: 2},
		"a later beat":               &leasev1.Beat{LeaseId: leaseA, Interval: 4},
		"another ack in an interval": &leasev1.Ack{LeaseId: leaseA, Seq: 3, Interval: 3},
		"another ack of a beat":      &leasev1.Ack{LeaseId: leaseA, Seq: 2, Interval: 4},
		"a later ack":                &leasev1.Ack{LeaseId: leaseA, Seq: 3, Interval: 4},
		"another close":              &leasev1.Close{LeaseId: leaseA, CreditMs: 8},
		"an attestation":             &leasev1.Attest{LeaseId: leaseA, Seq: 9},
	} {
		t.Run(name, func(t *testing.T) {
			folder := journal.NewMemory()
			first := guarded(t, folder)
			say(t, first, lived(leaseA)...)
			say(t, first, lived(leaseB)...) // others go on and close behind it
			again := guarded(t, folder)
			for when, g := range map[string]*session.Guard{"at once": first, "after a restart": again} {
				if err := g.Append(saying(t, m)); !errors.Is(err, session.ErrSlot) {
					t.Errorf("%s: %v", when, err)
				}
			}
			third := guarded(t, folder)
			say(t, third, &leasev1.Close{LeaseId: leaseA, CreditMs: 7}, &leasev1.Close{LeaseId: leaseB, CreditMs: 7}) // the same again
			if err := third.Append(saying(t, m)); !errors.Is(err, session.ErrSlot) {
				t.Errorf("after the close was said again: %v", err)
			}
		})
	}
}

// A close beside other statements in one record closes the lease as well.
func TestARecordMayTakeASlotAndCloseTheLease(t *testing.T) {
	for range 20 { // slots of a record are in no order
		folder := journal.NewMemory()
		first := guarded(t, folder)
		if err := first.Append(saying(t, &leasev1.Beat{LeaseId: leaseA, Interval: 3}, &leasev1.Close{LeaseId: leaseA})); err != nil {
			t.Fatal(err)
		}
		for when, g := range map[string]*session.Guard{"at once": first, "after a restart": guarded(t, folder)} {
			if slots, closes := g.Held(); slots != 0 || closes != 1 {
				t.Fatalf("%s: %d slots, %d closes", when, slots, closes)
			}
			if err := g.Append(saying(t, &leasev1.Beat{LeaseId: leaseA, Interval: 4})); !errors.Is(err, session.ErrSlot) {
				t.Fatalf("%s: %v", when, err)
			}
		}
	}
}

func TestARefusedCloseClosesNothing(t *testing.T) {
	g := guarded(t, journal.NewMemory())
	say(t, g, &leasev1.Beat{LeaseId: leaseA, Interval: 3})
	both := saying(t, &leasev1.Beat{LeaseId: leaseA, Interval: 2}, &leasev1.Close{LeaseId: leaseA})
	if err := g.Append(both); !errors.Is(err, session.ErrSlot) {
		t.Fatal(err)
	}
	say(t, g, &leasev1.Beat{LeaseId: leaseA, Interval: 4})
}

// A node that is both sides of a lease says its worker's close while its requester
// may still have a beat to ack.
func TestTheGuardKeepsTheSlotsOfALeaseOfANodeWithItself(t *testing.T) {
	self := sessiontest.Public(workerKey)
	terms := &leasev1.Terms{Worker: self, Requester: self, WorkerNonce: leaseA[:16]}
	payload, err := proto.Marshal(terms)
	if err != nil {
		t.Fatal(err)
	}
	id := statement.LeaseID(payload)
	folder := journal.NewMemory()
	g := guarded(t, folder)
	say(t, g, terms)
	say(t, g, lived(id[:])...)
	for _, when := range []string{"at once", "after a restart"} {
		say(t, g, &leasev1.Ack{LeaseId: id[:], Seq: 3, Interval: 4}, &leasev1.Close{LeaseId: id[:], CreditMs: 7})
		for _, m := range []proto.Message{
			&leasev1.Ack{LeaseId: id[:], Seq: 3, Interval: 3}, &leasev1.Beat{LeaseId: id[:], Interval: 2},
			&leasev1.Beat{LeaseId: id[:], Interval: 3, CreditMs: 1}, &leasev1.Close{LeaseId: id[:], CreditMs: 8},
		} {
			if err := g.Append(saying(t, m)); !errors.Is(err, session.ErrSlot) {
				t.Errorf("%s: %T: %v", when, m, err)
			}
		}
		g = guarded(t, folder)
	}
}

func TestOfClosedLeasesTheGuardKeepsTheirClosesAlone(t *testing.T) {
	const leases = 100
	folder := journal.NewMemory()
	first := guarded(t, folder)
	for n := range leases {
		id := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
		say(t, first, lived(id[:])...)
	}
	for when, g := range map[string]*session.Guard{"at once": first, "after a restart": guarded(t, folder)} {
		if slots, closes := g.Held(); slots != 0 || closes != leases {
			t.Errorf("%s: %d slots and %d closes after %d leases", when, slots, closes, leases)
		}
	}
}
