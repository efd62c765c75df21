package lease

import (
	"bytes"
	"fmt"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat/seal"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Nothing waits for a seal. The worker names the one of the last co-signed beat
// in the next beat, or in the close, if it is ready by then; the requester
// counts those that it saw and checked before. A beat without is as good, and
// paid as well: that it is missing is for people to see.

// ToSeal is what the worker's processor has to do while it has nothing better:
// the seal of the last co-signed beat. It is not wanted once it is ready, and
// not any more once the task is over. Ask again after every step: when the
// answer is another, work on the one before is of no use.
func (l Lease) ToSeal() (p seal.Params, seq uint64, beat statement.Hash, wanted bool) {
	if l.Role != Worker || !l.options.Sealed || l.phase != phaseLive || l.chain.beats == 0 || l.chain.seal != nil {
		return seal.Params{}, 0, statement.Hash{}, false
	}
	return l.seal, l.chain.beats - 1, l.chain.beatHash(), true
}

// LastSeal is the seal of the last co-signed beat, and nil without one. A
// worker sends it first on a new stream.
func (l Lease) LastSeal() *leasev1.Seal { return l.chain.seal }

// Sealed is how many co-signed beats have a seal that this side saw, and that
// the next beat or the close names.
func (l Lease) Sealed() uint64 {
	if l.closing.requester == nil {
		return l.chain.sealed
	}
	return l.chain.sealed + l.chain.names(l.closing.close.GetLastSeal())
}

// OpenSeal checks what came as a seal of the last co-signed beat, which takes a
// millisecond, and makes it an event.
func (l Lease) OpenSeal(s *leasev1.Seal) (SealReceived, error) {
	if l.Role != Requester {
		return SealReceived{}, ErrRole
	}
	if err := l.checkSeal(s); err != nil {
		return SealReceived{}, err
	}
	if err := seal.Verify(l.seal, l.chain.beatHash(), s); err != nil {
		return SealReceived{}, fmt.Errorf("seal of beat %d: %w", s.GetSeq(), err)
	}
	// A copy, because what is not a field of ours would go into the journal.
	return SealReceived{seal: &leasev1.Seal{
		LeaseId: s.GetLeaseId(), Seq: s.GetSeq(), Y: s.GetY(), Pi: s.GetPi(), PrimeCounter: s.GetPrimeCounter(),
	}}, nil
}

// checkSeal is every reason to refuse a seal before looking at its numbers.
func (l Lease) checkSeal(s *leasev1.Seal) error {
	switch {
	case !l.options.Sealed:
		return ErrTerms
	case !bytes.Equal(s.GetLeaseId(), l.id[:]):
		return ErrLease
	case s.GetSeq()+1 < l.chain.beats || l.chain.seal != nil:
		return ErrStale
	case s.GetSeq()+1 > l.chain.beats:
		return ErrSeal
	}
	return nil
}

func (t *turn) sealReady(s *leasev1.Seal) error {
	if t.phase != phaseLive {
		return ErrOutOfOrder
	}
	if err := t.holdSeal(s); err != nil {
		return err
	}
	t.do(SendSeal{Seal: s})
	return nil
}

func (t *turn) holdSeal(s *leasev1.Seal) error {
	if err := t.checkSeal(s); err != nil {
		return err
	}
	hash, err := seal.Hash(s)
	if err != nil {
		return err
	}
	t.chain.seal, t.chain.sealHash = s, hash[:]
	return nil
}

// beatHash is the hash of the last co-signed beat.
func (c chain) beatHash() statement.Hash {
	return statement.HashPayload(string(statement.TypeBeat), c.beat.GetPayload())
}
