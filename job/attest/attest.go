// Package attest is the rules of a witness: what it wants to see of a lease before
// it says anything, and what it says.
//
// A [Watch] is a value, one for each lease. Once in each period, at a moment that
// nobody else knows, the witness gives out a nonce; the worker puts it into its
// next beat, and shows that beat when it is co-signed. So the witness knows that
// the beat was made after it asked and before it signs, and that the chain is the
// one it knew before. More it does not know.
package attest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/statement"
)

const (
	// Period is how often a witness attests.
	Period = 10 * time.Minute
	// firstWithin is when it does for the first time, at the latest: many leases are short.
	firstWithin = time.Minute
	// RandomSize is how many random bytes Ask takes: 32 are the nonce, 8 choose the next moment.
	RandomSize = 40
)

// Why a witness says nothing.
var (
	ErrNotNamed = errors.New("the terms do not name this witness")
	ErrNotAsked = errors.New("no nonce of this witness is waiting for its beat")
	ErrShown    = errors.New("what was shown does not hold")
	ErrTwoHeads = errors.New("the head before was another: somebody keeps two chains of one lease")
)

// Watch is what a witness knows of one lease.
type Watch struct {
	Agreement lease.Agreement

	id      statement.Hash
	witness uint32
	first   time.Time // when it first saw the lease
	due     time.Time // when it gives out the nonce of the next period
	period  uint64    // of that
	nonce   []byte    // given out and not seen in a beat yet
	asked   time.Time
	askedIn uint64
	last    *leasev1.Attest // nil before the first
	hash    statement.Hash  // of the last
	heard   time.Time       // when the lease last showed a sign of life
}

// Begin watches a lease from now on. The first 8 bytes of random choose the first moment.
func Begin(a lease.Agreement, self ed25519.PublicKey, now time.Time, random [RandomSize]byte) (Watch, error) {
	at := slices.IndexFunc(a.Terms.GetWitnesses(), func(k []byte) bool { return bytes.Equal(k, self) })
	if at < 0 {
		return Watch{}, ErrNotNamed
	}
	now = time.UnixMilli(now.UnixMilli())
	return Watch{
		Agreement: a, id: a.ID(), witness: uint32(at), first: now, heard: now,
		due: now.Add(within(firstWithin, random[32:])),
	}, nil
}

// Recall is the watch after an attestation of before a restart.
func (w Watch) Recall(a statement.Verified[*leasev1.Attest], random [RandomSize]byte) Watch {
	m := a.Message()
	w.last, w.hash = m, a.Hash()
	w.first, w.heard = time.UnixMilli(m.GetFirstMs()), time.UnixMilli(m.GetAttestedMs())
	w.period = m.GetPeriod() + 1
	w.due = w.first.Add(time.Duration(w.period)*Period + within(Period, random[32:]))
	return w
}

// within is a moment of a span that the random bytes choose.
func within(span time.Duration, random []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint64(random)%uint64(span.Milliseconds())) * time.Millisecond
}

// ID names the lease.
func (w Watch) ID() statement.Hash { return w.id }

// Due is when a nonce is to be given out next.
func (w Watch) Due() time.Time { return w.due }

// Waiting is the nonce that no beat has shown yet, to be given out again on a new
// stream; nil without one.
func (w Watch) Waiting() *leasev1.Nonce {
	if w.nonce == nil {
		return nil
	}
	return &leasev1.Nonce{Period: w.askedIn, Nonce: w.nonce}
}

// Ask gives out a nonce if one is due. The moment in the period after is random.
func (w Watch) Ask(now time.Time, random [RandomSize]byte) (Watch, *leasev1.Nonce) {
	if now.Before(w.due) {
		return w, nil
	}
	w.period = max(w.period, uint64(now.Sub(w.first)/Period))
	w.nonce, w.asked, w.askedIn = random[:32], now, w.period
	w.period++
	w.due = w.first.Add(time.Duration(w.period)*Period + within(Period, random[32:]))
	return w, w.Waiting()
}

// Attest is what the witness says of a beat that was shown to it. What it said
// before of the same beat it says again, and nothing else. The caller signs it, makes
// it durable, and takes the watch on with Said.
func (w Watch) Attest(now time.Time, s *leasev1.Shown) (*leasev1.Attest, error) {
	beat, ack, err := w.open(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShown, err)
	}
	b := beat.Message()
	tree, err := heartbeat.TreeFrom(b.GetSeq()+1, s.GetTree())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShown, err)
	}
	before := tree.Root()
	if !bytes.Equal(before[:], b.GetTreeRoot()) {
		return nil, fmt.Errorf("%w: other subtrees than the beat's tree_root", ErrShown)
	}
	head := heartbeat.NextHead(beat.Signed(), ack.Signed())
	root := tree.Append(head).Root()
	if again, err := w.continues(b.GetSeq(), head, root, s.GetConsistency()); again || err != nil {
		return w.last, err
	}
	leaf := heartbeat.NonceLeaf(w.id, w.witness, w.nonce)
	if w.nonce == nil || !slices.ContainsFunc(s.GetNonces(), func(l []byte) bool { return bytes.Equal(l, leaf[:]) }) {
		return nil, ErrNotAsked
	}
	return w.say(now, b, head, root), nil
}

// open checks the two statements and that the nonces are those of the beat.
func (w Watch) open(s *leasev1.Shown) (beat statement.Verified[*leasev1.Beat], ack statement.Verified[*leasev1.Ack], err error) {
	if beat, err = statement.Open[*leasev1.Beat](s.GetBeat(), statement.TypeBeat, w.Agreement.Key(lease.Worker)); err != nil {
		return beat, ack, err
	}
	if ack, err = statement.Open[*leasev1.Ack](s.GetAck(), statement.TypeAck, w.Agreement.Key(lease.Requester)); err != nil {
		return beat, ack, err
	}
	b, a := beat.Message(), ack.Message()
	if err := errors.Join(heartbeat.CheckBeat(b, heartbeat.OptionsOf(w.Agreement.Terms)), heartbeat.CheckAck(a)); err != nil {
		return beat, ack, err
	}
	switch {
	case !bytes.Equal(b.GetLeaseId(), w.id[:]) || !bytes.Equal(a.GetLeaseId(), w.id[:]):
		return beat, ack, lease.ErrLease
	case !lease.Acknowledges(a, beat):
		return beat, ack, lease.ErrAck
	case !bytes.Equal(heartbeat.RootOf(s.GetNonces()), b.GetWitnessRoot()):
		return beat, ack, errors.New("other nonces than the beat's witness_root")
	}
	return beat, ack, nil
}

// continues checks that a head goes on from the one attested last; again says that it
// is that very head.
func (w Watch) continues(seq uint64, head, root statement.Hash, proof [][]byte) (again bool, err error) {
	last := w.last
	switch {
	case last == nil:
		return false, nil
	case seq == last.GetSeq() && bytes.Equal(head[:], last.GetHead()):
		return true, nil
	case seq <= last.GetSeq():
		return false, ErrTwoHeads
	}
	if err := heartbeat.CheckConsistency(proof, seq+2, root[:], last.GetSeq()+2, last.GetTreeRoot()); err != nil {
		return false, fmt.Errorf("%w: %w", ErrTwoHeads, err)
	}
	return false, nil
}

func (w Watch) say(now time.Time, b *leasev1.Beat, head, root statement.Hash) *leasev1.Attest {
	a := &leasev1.Attest{
		Version: statement.Version, LeaseId: w.id[:], Witness: w.witness, Period: w.askedIn, Seq: b.GetSeq(),
		Head: head[:], TreeRoot: root[:], CreditMs: b.GetCreditMs(),
		FirstMs: w.first.UnixMilli(), AskedMs: w.asked.UnixMilli(), AttestedMs: max(w.asked.UnixMilli(), now.UnixMilli()),
	}
	if w.last != nil {
		a.Attested, a.Previous = w.last.GetAttested()+1, w.hash[:]
	}
	return a
}

// Said is the watch after an attestation is signed and durable.
func (w Watch) Said(now time.Time, a statement.Verified[*leasev1.Attest]) Watch {
	w.last, w.hash, w.nonce, w.heard = a.Message(), a.Hash(), nil, now
	return w
}

// Heard is the watch after a sign of life that is not worth attesting.
func (w Watch) Heard(now time.Time) Watch {
	w.heard = now
	return w
}

// Alive says whether the lease may still be served, as far as this witness can tell.
func (w Watch) Alive(now time.Time) bool {
	t := w.Agreement.Terms
	grace := time.Duration(t.GetAbsentGraceMs()) * time.Millisecond
	longest := time.Duration(t.GetMaxDurationMs())*time.Millisecond + grace
	return now.Before(w.heard.Add(grace+2*Period)) && now.Before(w.first.Add(longest))
}

// Past says that no lease under these terms can still be served: it would have had to
// start by start_by_ms, and last no longer than it may. Two periods are for clocks.
func Past(t *leasev1.Terms, now time.Time) bool {
	longest := time.Duration(t.GetMaxDurationMs()+t.GetAbsentGraceMs()) * time.Millisecond
	return now.After(time.UnixMilli(t.GetStartByMs()).Add(longest + 2*Period))
}

// Overlaps says whether two leases share a device.
func Overlaps(a, b *leasev1.Terms) bool {
	return slices.ContainsFunc(a.GetGpuTags(), func(tag []byte) bool {
		return slices.ContainsFunc(b.GetGpuTags(), func(other []byte) bool { return bytes.Equal(tag, other) })
	})
}

// CheckOverlap checks a witness's proof that a device of a lease is under another
// one: both signed the other's terms, which name this witness and share a device.
func CheckOverlap(terms *leasev1.Terms, o *leasev1.Overlap, witness ed25519.PublicKey) error {
	other, err := lease.NewAgreement(o.GetWorkerTerms(), o.GetRequesterTerms())
	if err != nil {
		return err
	}
	if proto.Equal(other.Terms, terms) || !Overlaps(other.Terms, terms) {
		return fmt.Errorf("%w: the other lease shares no device with this one", ErrShown)
	}
	if o.GetAttest() == nil {
		return nil
	}
	a, err := statement.Open[*leasev1.Attest](o.GetAttest(), statement.TypeAttest, witness)
	if err != nil {
		return err
	}
	if id := other.ID(); !bytes.Equal(a.Message().GetLeaseId(), id[:]) {
		return lease.ErrLease
	}
	return nil
}
