// Package sessiontest helps to test what keeps leases: a journal in memory that
// can fail, and leases between two keys.
package sessiontest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Journal keeps records in memory.
type Journal struct {
	// Before is asked about each record before it counts; its error is Append's.
	// It may be nil.
	Before func(journal.Record) error

	mu      sync.Mutex
	records []journal.Record
}

// Append adds a record.
func (j *Journal) Append(r journal.Record) error {
	if j.Before != nil {
		if err := j.Before(r); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, r)
	return nil
}

// Records are those appended so far.
func (j *Journal) Records() []journal.Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.records)
}

// Kinds are the records' kinds, in order.
func (j *Journal) Kinds() []string {
	var kinds []string
	for _, r := range j.Records() {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}

// Replay gives every record to fn, until it fails.
func (j *Journal) Replay(fn func(journal.Record) error) error {
	for _, r := range j.Records() {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// First is the journal as it was after its first n records.
func (j *Journal) First(n int) *Journal { return &Journal{records: j.Records()[:n]} }

// Key is a key that is the same in every run.
func Key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Public is a key's public half.
func Public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// Peer is the peer with a key.
func Peer(t testing.TB, k ed25519.PrivateKey) peer.ID {
	t.Helper()
	id, err := job.PeerID(Public(k))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Later gives a message a field that only a later version knows. In a frame without a kind
// that is a kind of that version's.
func Later[M proto.Message](m M) M {
	m.ProtoReflect().SetUnknown([]byte{0xc0, 0x3e, 0x01})
	return m
}

// Sign signs with a key, as a lease wants it.
func Sign(k ed25519.PrivateKey) func(statement.Type, []byte) *marketv1.Signed {
	return func(t statement.Type, payload []byte) *marketv1.Signed { return statement.SignPayload(k, t, payload) }
}

// Terms are terms for one device, with an interval of a second and a minute of
// grace for silence.
func Terms(worker, requester ed25519.PrivateKey, now time.Time) *leasev1.Terms {
	hash := func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
	return &leasev1.Terms{
		Version: 1, Network: "test", Worker: Public(worker), Requester: Public(requester),
		WorkerNonce: hash("w")[:16], RequesterNonce: hash("r")[:16], JobId: hash("job")[:len(job.ID{})],
		GpuTags: [][]byte{hash("gpu")}, Price: 250_000, MaxAmount: 1_000_000,
		IntervalMs: 1000, GraceMs: 250, MaxUnpaid: 2, AbsentGraceMs: 60_000,
		StartByMs: now.Add(time.Minute).UnixMilli(), MaxDurationMs: time.Hour.Milliseconds(),
		SpecDigest: hash("spec"), ImageDigest: "sha256:" + sixtyFour, Platform: "linux/amd64", CreatedMs: now.UnixMilli(),
	}
}

const sixtyFour = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Lease is both sides of a lease under terms.
func Lease(t testing.TB, worker, requester ed25519.PrivateKey, terms *leasev1.Terms, now time.Time) (ofWorker, ofRequester lease.Lease) {
	t.Helper()
	byWorker, err := statement.Sign(worker, statement.TypeTerms, terms)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := lease.NewAgreement(byWorker, statement.SignPayload(requester, statement.TypeTerms, byWorker.Payload))
	if err != nil {
		t.Fatal(err)
	}
	begin := func(r lease.Role, k ed25519.PrivateKey) lease.Lease {
		l, err := lease.New(lease.Config{Role: r, Agreement: agreement, Sign: Sign(k)}, now)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	return begin(lease.Worker, worker), begin(lease.Requester, requester)
}
