package seal

import "math/big"

// multiplier multiplies modulo n with math/big: a third faster than bigmod, which
// goes into Montgomery form and back for every product, where it is the one that
// squares faster. It holds scratch space: one for each that works at a time.
//
// A product of two residues of k words is cut down in two steps: what is above
// 3k/2 words is folded down by what that power of two is modulo n, and the
// quotient of the rest is estimated with a multiplication (Barrett). The estimate
// is at most a few too small if n fills its words, or nearly.
type multiplier struct {
	n          *big.Int
	words      int      // of n: k
	fold       *big.Int // 2^(bits of 3k/2 words) mod n
	inverse    *big.Int // that power of two / n
	t, u, q, r big.Int
}

func newMultiplier(n *big.Int) *multiplier {
	k := len(n.Bits())
	high := new(big.Int).SetBits(append(make([]big.Word, k+k/2), 1))
	inverse, fold := new(big.Int).QuoRem(high, n, new(big.Int))
	return &multiplier{n: n, words: k, fold: fold, inverse: inverse}
}

// mul sets x to x × y modulo n. Both are residues.
func (m *multiplier) mul(x, y *big.Int) {
	k := m.words
	var part big.Int
	m.t.Mul(x, y)
	m.u.Mul(words(&part, &m.t, k+k/2, 2*k), m.fold)
	m.u.Add(&m.u, words(&part, &m.t, 0, k+k/2))
	m.q.Mul(words(&part, &m.u, k, 2*k), m.inverse)
	m.r.Mul(words(&part, &m.q, k/2, 2*k), m.n)
	m.r.Sub(&m.u, &m.r)
	for m.r.Cmp(m.n) >= 0 {
		m.r.Sub(&m.r, m.n)
	}
	x.Set(&m.r)
}

// powers is a^e × b^f. Both exponents go by together, two bits of each at a time.
func (m *multiplier) powers(a, e, b, f *big.Int) *big.Int {
	var table [16]*big.Int // a^i × b^j at 4i + j
	table[0] = big.NewInt(1)
	for i := 1; i < len(table); i++ {
		if i%4 > 0 {
			table[i] = m.times(table[i-1], b)
		} else {
			table[i] = m.times(table[i-4], a)
		}
	}
	x := big.NewInt(1)
	for k := max(e.BitLen(), f.BitLen()) &^ 1; k >= 0; k -= 2 {
		m.mul(x, x)
		m.mul(x, x)
		if i := e.Bit(k+1)<<3 | e.Bit(k)<<2 | f.Bit(k+1)<<1 | f.Bit(k); i > 0 {
			m.mul(x, table[i])
		}
	}
	return x
}

func (m *multiplier) times(x, y *big.Int) *big.Int {
	z := new(big.Int).Set(x)
	m.mul(z, y)
	return z
}

// words makes part a view of some words of x, the lowest being number 0.
func words(part, x *big.Int, from, to int) *big.Int {
	w := x.Bits()
	to = min(to, len(w))
	return part.SetBits(w[min(from, to):to])
}
