package seal

import (
	"bytes"
	"fmt"
	"math/big"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// Verify checks the seal of the beat with the given hash. It looks at y, pi and
// prime_counter only: which lease and beat the seal says it is for is the
// caller's to compare.
func Verify(p Params, beat statement.Hash, s *leasev1.Seal) error {
	z, err := p.puzzle()
	if err != nil {
		return err
	}
	return z.verify(z.start(beat), s)
}

func (p puzzle) verify(x []byte, s *leasev1.Seal) error {
	c, err := p.claim(x, s)
	if err != nil {
		return err
	}
	// x^(2^T) = x^(l × ⌊2^T/l⌋ + r) = pi^l × x^r
	pi, start := new(big.Int).SetBytes(s.GetPi()), new(big.Int).SetBytes(x)
	if !bytes.Equal(p.form(newMultiplier(p.n).powers(pi, c.l, start, c.r)), s.GetY()) {
		return ErrProof
	}
	return nil
}

// claim is a seal that is well formed: what is left to check is pi^l × x^r = y.
type claim struct{ l, r *big.Int }

func (p puzzle) claim(x []byte, s *leasev1.Seal) (claim, error) {
	if err := p.check(s.GetY()); err != nil {
		return claim{}, fmt.Errorf("y: %w", err)
	}
	if err := p.check(s.GetPi()); err != nil {
		return claim{}, fmt.Errorf("pi: %w", err)
	}
	l, err := primeAt(p.transcript(x, s.GetY()), s.GetPrimeCounter())
	if err != nil {
		return claim{}, err
	}
	r := new(big.Int).Exp(big.NewInt(2), new(big.Int).SetUint64(p.t), l)
	return claim{l: l, r: r}, nil
}
