package seal

import "math/big"

// multiplier multiplies modulo n with math/big: a third faster than bigmod, which
// goes into Montgomery form and back for every product, where it is the one that
// squares faster. It holds scratch space: one for each that works at a time.
//
// A product of two residues of k words is cut down in three steps: what is above 3k/2
// words, and then what is above 5k/4, is folded down by what that power of two is modulo n;
// and the quotient of the rest is estimated with a short multiplication (Barrett). The
// estimate is at most a few too small if n fills its words, or nearly.
type multiplier struct {
	n          *big.Int
	words      int     // of n: k
	folds      [2]fold // from the higher one
	inverse    *big.Int
	cut        int // words that inverse is longer than n is short of a power of two
	t, u, q, r big.Int
}

// fold says what a power of two is modulo n.
type fold struct {
	words int // of the power
	is    *big.Int
}

func newMultiplier(n *big.Int) *multiplier {
	k := len(n.Bits())
	m := &multiplier{n: n, words: k, cut: k/4 + 1}
	for i, at := range []int{k + k/2, k + k/4} {
		m.folds[i] = fold{at, new(big.Int).Mod(power(at), n)}
	}
	m.inverse = new(big.Int).Quo(power(k+m.cut), n)
	return m
}

// power is the power of two that takes one word more than the given number.
func power(words int) *big.Int { return new(big.Int).SetBits(append(make([]big.Word, words), 1)) }

// mul sets x to x × y modulo n. Both are residues.
func (m *multiplier) mul(x, y *big.Int) {
	var part big.Int
	t, u, all := &m.t, &m.u, 2*m.words
	t.Mul(x, y)
	for _, f := range m.folds {
		u.Mul(words(&part, t, f.words, all), f.is)
		u.Add(u, words(&part, t, 0, f.words))
		t, u = u, t
	}
	m.q.Mul(words(&part, t, m.words, all), m.inverse)
	m.r.Mul(words(&part, &m.q, m.cut, all), m.n)
	m.r.Sub(t, &m.r)
	for m.r.Cmp(m.n) >= 0 {
		m.r.Sub(&m.r, m.n)
	}
	x.Set(&m.r)
}

// powers is a^e × b^f. Both exponents go by together.
func (m *multiplier) powers(a, e, b, f *big.Int) *big.Int {
	tables := [2][]*big.Int{m.odd(a), m.odd(b)}
	digits := [2][]byte{oddDigits(e), oddDigits(f)}
	x := big.NewInt(1)
	for k := max(len(digits[0]), len(digits[1])) - 1; k >= 0; k-- {
		m.mul(x, x)
		for i, d := range digits {
			if k < len(d) && d[k] > 0 {
				m.mul(x, tables[i][d[k]/2])
			}
		}
	}
	return x
}

const windowBits = 4

// odd are the odd powers of a that a digit may ask for.
func (m *multiplier) odd(a *big.Int) []*big.Int {
	square, powers := m.times(a, a), []*big.Int{a}
	for len(powers) < 1<<(windowBits-1) {
		powers = append(powers, m.times(powers[len(powers)-1], square))
	}
	return powers
}

// oddDigits cuts an exponent into odd digits of windowBits bits, each where its lowest
// bit is, with zeros between.
func oddDigits(e *big.Int) []byte {
	digits := make([]byte, e.BitLen())
	for i := 0; i < len(digits); i++ {
		if e.Bit(i) == 0 {
			continue
		}
		for j := windowBits - 1; j >= 0; j-- {
			digits[i] = digits[i]<<1 | byte(e.Bit(i+j))
		}
		i += windowBits - 1
	}
	return digits
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
