package seal

import (
	"bytes"
	"fmt"
	"math/big"
	"math/bits"

	"filippo.io/bigmod"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Size is the length of y and of pi in bytes.
const Size = 256

// rsa2048 is the number of the RSA Factoring Challenge. Whoever made it said
// that the factors were destroyed, and a prize for them was never claimed.
const rsa2048 = "c7970ceedcc3b0754490201a7aa613cd73911081c790f5f1a8726f463550bb5b" +
	"7ff0db8e1ea1189ec72f93d1650011bd721aeeacc2acde32a04107f0648c2813" +
	"a31f5b0b7765ff8b44b4b6ffc93384b646eb09c7cf5e8592d40ea33c80039f35" +
	"b4f14a04b51f7bfd781be4d1673164ba8eb991c2c4d730bbbe35f592bdef524a" +
	"f7e8daefd26c66fc02c479af89d64d373f442709439de66ceb955f3ea37d5159" +
	"f6135809f85334b5cb1813addc80cd05609f10ac6a95ad65872c909525bdad32" +
	"bc729592642920f24c61dc5b3c3b7923e56b16a4d9d373d8721f24a3fc0f1b31" +
	"31f55615172866bccc30f95054c824e733a5eb6817f7bc16399d48c6361cc7e5"

// groups are the known ones by the id of their modulus.
var groups = map[uint32]*group{job.SealRSA2048: newGroup(number(rsa2048))}

func number(hex string) *big.Int {
	n, _ := new(big.Int).SetString(hex, 16)
	return n
}

// group is the numbers modulo n with x and -x taken for one. It is -1, the one
// element of small order that everybody knows, that would make false proofs.
//
// While they are worked on, elements are residues of either sign. Their one form
// is the smaller of the two, as size bytes.
type group struct {
	n    *big.Int
	fast *bigmod.Modulus // n, for squarings
	half []byte          // (n-1)/2: the largest number in the one form
	size int
}

func newGroup(n *big.Int) *group {
	m, err := bigmod.NewModulus(n.Bytes())
	if err != nil {
		panic("seal: modulus: " + err.Error())
	}
	g := &group{n: n, fast: m, size: m.Size()}
	g.half = new(big.Int).Rsh(n, 1).FillBytes(make([]byte, g.size))
	return g
}

// check refuses what is not the one form of an element other than 0 and 1.
func (g *group) check(b []byte) error {
	switch {
	case len(b) != g.size:
		return fmt.Errorf("%w: %d bytes", ErrForm, len(b))
	case bytes.Compare(b, g.half) > 0:
		return fmt.Errorf("%w: above half of the modulus", ErrForm)
	case new(big.Int).SetBytes(b).BitLen() <= 1:
		return fmt.Errorf("%w: trivial", ErrForm)
	}
	return nil
}

// form is the one form of a residue.
func (g *group) form(x *big.Int) []byte {
	b := x.FillBytes(make([]byte, g.size))
	if bytes.Compare(b, g.half) > 0 {
		return new(big.Int).Sub(g.n, x).FillBytes(b)
	}
	return b
}

// nat is a residue for bigmod.
func (g *group) nat(b []byte) *bigmod.Nat {
	x, err := bigmod.NewNat().SetBytes(b, g.fast)
	if err != nil {
		panic("seal: not a residue")
	}
	return x
}

// number is a residue of bigmod.
func (g *group) number(x *bigmod.Nat) *big.Int { return new(big.Int).SetBytes(x.Bytes(g.fast)) }

// fromHash maps a hash to the one form of an element whose roots and powers
// nobody knows. The hash is stretched to 256 bits more than the modulus has, so
// that residues come out evenly.
func (g *group) fromHash(seed statement.Hash) []byte {
	var wide []byte
	for i := range (g.size + 32 + 31) / 32 {
		block := statement.H("seal-x", seed[:], []byte{byte(i)})
		wide = append(wide, block[:]...)
	}
	x := new(big.Int).SetBytes(wide)
	return g.form(x.Mod(x, g.n))
}

// square squares x k times. bigmod does as many at a time as a word has bits:
// that is within a few percent of staying in Montgomery form throughout.
func (g *group) square(x *bigmod.Nat, k uint64) {
	for k > 0 {
		n := min(k, bits.UintSize-1)
		x.ExpShortVarTime(x, 1<<n, g.fast)
		k -= n
	}
}
