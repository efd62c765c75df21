package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// reference is suite 1 once more, from SPEC.md and with math/big alone: the
// other implementation that this one has to agree with. It raises x to
// ⌊2^T/l⌋ directly, which is as much work again as y.
type reference struct {
	n       *big.Int
	modulus uint32
	t       uint64
}

func refH(tag string, parts ...[]byte) []byte {
	h := sha256.New()
	h.Write([]byte("rigmesh/1/" + tag + "\x00"))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func (r reference) size() int { return (r.n.BitLen() + 7) / 8 }

func (r reference) form(v *big.Int) []byte {
	if other := new(big.Int).Sub(r.n, v); other.Cmp(v) < 0 {
		v = other
	}
	return v.FillBytes(make([]byte, r.size()))
}

func (r reference) x(beat []byte) *big.Int {
	seed, wide := refH("seal-seed", beat), []byte(nil)
	for i := 0; len(wide) < r.size()+32; i++ {
		wide = append(wide, refH("seal-x", seed, []byte{byte(i)})...)
	}
	x := new(big.Int).SetBytes(wide)
	return new(big.Int).SetBytes(r.form(x.Mod(x, r.n)))
}

func (r reference) prime(x *big.Int, y []byte) (*big.Int, uint32) {
	about := refH("seal-proof", be32(r.modulus), be64(r.t), r.form(x), y)
	for counter := uint32(0); ; counter++ {
		l := new(big.Int).SetBytes(refH("seal-prime", about, be32(counter)))
		l.SetBit(l, 255, 1).SetBit(l, 0, 1)
		if l.ProbablyPrime(20) {
			return l, counter
		}
	}
}

func (r reference) answer(beat statement.Hash) []byte {
	return r.form(new(big.Int).Exp(r.x(beat[:]), new(big.Int).Lsh(big.NewInt(1), uint(r.t)), r.n))
}

func (r reference) make(beat []byte) *leasev1.Seal {
	x, power := r.x(beat), new(big.Int).Lsh(big.NewInt(1), uint(r.t))
	y := r.answer(statement.Hash(beat))
	l, counter := r.prime(x, y)
	pi := new(big.Int).Exp(x, power.Quo(power, l), r.n)
	return &leasev1.Seal{Y: y, Pi: r.form(pi), PrimeCounter: counter}
}

func (r reference) verify(beat []byte, s *leasev1.Seal) bool {
	y, pi, one := new(big.Int).SetBytes(s.GetY()), new(big.Int).SetBytes(s.GetPi()), big.NewInt(1)
	for _, v := range []*big.Int{y, pi} {
		if v.Cmp(one) <= 0 || new(big.Int).Lsh(v, 1).Cmp(r.n) > 0 {
			return false
		}
	}
	if len(s.GetY()) != r.size() || len(s.GetPi()) != r.size() || s.GetPrimeCounter() >= 1<<16 {
		return false
	}
	x := r.x(beat)
	about := refH("seal-proof", be32(r.modulus), be64(r.t), r.form(x), s.GetY())
	l := new(big.Int).SetBytes(refH("seal-prime", about, be32(s.GetPrimeCounter())))
	l.SetBit(l, 255, 1).SetBit(l, 0, 1)
	if !l.ProbablyPrime(20) {
		return false
	}
	rest := new(big.Int).Exp(big.NewInt(2), new(big.Int).SetUint64(r.t), l)
	left := new(big.Int).Exp(pi, l, r.n)
	left.Mul(left, new(big.Int).Exp(x, rest, r.n))
	return string(r.form(left.Mod(left, r.n))) == string(s.GetY())
}
