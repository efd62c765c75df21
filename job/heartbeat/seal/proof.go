package seal

import (
	"math/big"
	"math/bits"
)

// proof is x^exponent in the making, out of the marks. With digits d of the
// exponent, and marks x^(2^(groups × digitBits × j)), it is
//
//	Π over group (Π over j  mark[j]^d[j × groups + group])^(2^(digitBits × group))
//
// One group at a time, from the last: the marks with one digit go into one
// bucket, and the buckets are raised to their digits together.
type proof struct {
	digits  digits
	marks   []*big.Int
	groups  int
	left    int // groups to do, the one in the buckets included
	at      int // the next mark for the buckets
	buckets buckets
	value   *big.Int
}

func newProof(n, exponent *big.Int, marks []*big.Int, groups int) *proof {
	return &proof{
		digits: exponent.Bits(), marks: marks, groups: groups, left: groups,
		buckets: newBuckets(n, 1<<digitBits), value: big.NewInt(1),
	}
}

func (p *proof) complete() bool { return p.left == 0 }

// advance puts some marks into buckets, or empties those.
func (p *proof) advance() (cost int) {
	const some = 64
	for range min(some, len(p.marks)-p.at) {
		digit := p.digits.at(uint(p.at*p.groups+p.left-1) * digitBits)
		p.buckets.put(digit, p.marks[p.at])
		p.at++
		cost++
	}
	if p.at == len(p.marks) {
		p.buckets.emptyInto(p.value, digitBits)
		p.left, p.at = p.left-1, 0
		cost += 2 << digitBits
	}
	return cost
}

// digits are the words of a number, the lowest first.
type digits []big.Word

// at is the digit whose lowest bit is the given one.
func (d digits) at(bit uint) uint {
	i, shift := int(bit/bits.UintSize), bit%bits.UintSize
	if i >= len(d) {
		return 0
	}
	digit := uint(d[i]) >> shift
	if i+1 < len(d) {
		digit |= uint(d[i+1]) << (bits.UintSize - shift)
	}
	return digit & (1<<digitBits - 1)
}

// buckets collect what is to be raised to the same small exponent.
type buckets struct {
	*multiplier
	of []*big.Int // nil: nothing in it
}

func newBuckets(n *big.Int, size int) buckets {
	return buckets{newMultiplier(n), make([]*big.Int, size)}
}

func (b buckets) put(exponent uint, x *big.Int) {
	switch {
	case exponent == 0:
	case b.of[exponent] == nil:
		b.of[exponent] = new(big.Int).Set(x)
	default:
		b.mul(b.of[exponent], x)
	}
}

// emptyInto squares value some times, takes everything out of the buckets and
// multiplies value by all of it, each raised to its exponent: two
// multiplications a bucket, because the product of the buckets from e on is
// counted once for every step down to 1.
func (b buckets) emptyInto(value *big.Int, squarings int) {
	for range squarings {
		b.mul(value, value)
	}
	from := big.NewInt(1)
	all := big.NewInt(1)
	for e := len(b.of) - 1; e > 0; e-- {
		if b.of[e] != nil {
			b.mul(from, b.of[e])
			b.of[e] = nil
		}
		b.mul(all, from)
	}
	b.mul(value, all)
}

// product is the product of all bases modulo n, each raised to its exponent.
// Exponents are numbers of one length, the highest byte first.
func product(n *big.Int, bases []*big.Int, exponents [][]byte) *big.Int {
	b, value := newBuckets(n, 1<<8), big.NewInt(1)
	for i := range exponents[0] {
		for j, base := range bases {
			b.put(uint(exponents[j][i]), base)
		}
		b.emptyInto(value, 8)
	}
	return value
}
