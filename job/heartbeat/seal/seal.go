// Package seal makes and checks time-lock seals: answers that take a known
// number of squarings, one after the other, to find, and half a millisecond to
// check.
//
// A seal is a Wesolowski proof over the numbers modulo N, up to sign, where
// nobody knows the factors of N. The puzzle comes from the hash of a co-signed
// beat, so that nothing of it can be worked out ahead. SPEC.md gives every
// byte. Making one is a [Work], which is done in slices of any size: whoever
// holds it decides when the processor is free for it.
package seal

import (
	"errors"
	"fmt"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Limits of T, the number of squarings. From MinT on the exponent of a proof is
// never zero, whatever the prime; MaxT takes some 16 seconds.
const (
	MinT = job.MinSealT
	MaxT = job.MaxSealT
)

// Why a seal is refused, and why parameters are.
var (
	ErrParams = errors.New("unknown seal parameters")
	ErrForm   = errors.New("not in the one form of a seal")
	ErrPrime  = errors.New("prime_counter gives no prime")
	ErrProof  = errors.New("the proof does not hold")
)

// Params say what a seal of a lease is. They stand in its terms.
type Params struct {
	Modulus uint32 // id of N; 1 is RSA-2048
	T       uint64 // squarings
}

// Of gives the parameters that terms name, and false when their beats are not
// sealed. What suite it is they do not say: see Check.
func Of(t *leasev1.Terms) (Params, bool) {
	return Params{Modulus: t.GetSealModulus(), T: t.GetSealT()}, t.GetSealSuite() != job.SealNone
}

// CheckTerms refuses the seal that terms name if this program does not know it.
func CheckTerms(t *leasev1.Terms) error {
	p, sealed := Of(t)
	switch {
	case !sealed && p == Params{}:
		return nil
	case t.GetSealSuite() != job.SealWesolowski:
		return fmt.Errorf("%w: suite %d", ErrParams, t.GetSealSuite())
	}
	_, err := p.puzzle()
	return err
}

// puzzle is a group and the number of squarings in it.
type puzzle struct {
	*group
	modulus uint32
	t       uint64
}

func (p Params) puzzle() (puzzle, error) {
	g := groups[p.Modulus]
	if g == nil {
		return puzzle{}, fmt.Errorf("%w: modulus %d", ErrParams, p.Modulus)
	}
	if p.T < MinT || p.T > MaxT {
		return puzzle{}, fmt.Errorf("%w: %d squarings", ErrParams, p.T)
	}
	return puzzle{group: g, modulus: p.Modulus, t: p.T}, nil
}

// Hash names a seal in the next beat and in the close: H("seal", y). A puzzle has
// one answer and any number of proofs, so the answer is the name.
func Hash(s *leasev1.Seal) (statement.Hash, error) {
	if len(s.GetY()) != Size {
		return statement.Hash{}, fmt.Errorf("%w: %d bytes of y", ErrForm, len(s.GetY()))
	}
	return statement.H("seal", s.GetY()), nil
}

// Make makes the seal of the beat with the given hash, all at once.
func Make(p Params, beat statement.Hash) (*leasev1.Seal, error) {
	w, err := Begin(p, beat)
	if err != nil {
		return nil, err
	}
	for !w.Step(1 << 16) {
	}
	return w.Seal(), nil
}
