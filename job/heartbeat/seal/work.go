package seal

import (
	"math/big"
	"time"

	"filippo.io/bigmod"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// A proof is x^⌊2^T/l⌋. Its exponent is cut into digits of digitBits bits, and
// each digit applies to a power of x that the way to y has passed. Those are
// kept every mark squarings; the digits between two marks are digitsPerMark
// groups that share their power.
const (
	digitBits = 9
	mark      = 63 // squarings in one call of bigmod, where a word has 64 bits
	maxMarks  = 1 << 12
)

// Whoever does work beside something that matters more does it in slices.
const (
	// Slice is how much to do in one go: some 2 ms of one core.
	Slice = 2000
	// Rest is the pause between two slices. A seal thus takes a fifth of a core at
	// most while it is made, and nothing waits for it. A thread of low priority would
	// be no help: Go's garbage collector waits for every thread.
	Rest = 8 * time.Millisecond
)

// Work is one seal in the making. Give it time with Step whenever there is
// some. What it makes is a function of its parameters and the beat, so work
// that was lost can be done again.
type Work struct {
	puzzle
	x       []byte
	y       *bigmod.Nat // x after done squarings
	done    uint64
	every   uint64 // squarings between two marks
	marks   []*big.Int
	counter uint32
	proof   *proof // nil before y is there
	seal    *leasev1.Seal
}

// Begin begins the seal of the beat with the given hash.
func Begin(p Params, beat statement.Hash) (*Work, error) {
	z, err := p.puzzle()
	if err != nil {
		return nil, err
	}
	return z.begin(z.start(beat)), nil
}

// start is x, where the squaring starts.
func (p puzzle) start(beat statement.Hash) []byte {
	return p.fromHash(statement.H("seal-seed", beat[:]))
}

func (p puzzle) begin(x []byte) *Work {
	spread := p.t/(mark*maxMarks) + 1 // larger T: marks farther apart, the same memory
	return &Work{puzzle: p, x: x, y: p.nat(x), every: mark * spread}
}

// Step does work worth about n squarings, a microsecond each, and says whether
// the seal is finished. The last piece may be worth some hundreds more.
func (w *Work) Step(n int) (finished bool) {
	for n > 0 && w.seal == nil {
		switch {
		case w.done < w.t:
			n -= w.square()
		case w.proof == nil:
			n -= w.begun()
		case !w.proof.complete():
			n -= w.proof.advance()
		default:
			w.seal = &leasev1.Seal{Y: w.form(w.number(w.y)), Pi: w.form(w.proof.value), PrimeCounter: w.counter}
			w.marks, w.proof.marks = nil, nil
		}
	}
	return w.seal != nil
}

// Seal is the finished seal, without the lease and the beat's number, and nil
// before it is finished.
func (w *Work) Seal() *leasev1.Seal { return w.seal }

// square goes on to y, a few squarings.
func (w *Work) square() (cost int) {
	if w.done%w.every == 0 {
		w.marks = append(w.marks, w.number(w.y))
	}
	k := min(mark, w.t-w.done)
	w.group.square(w.y, k)
	w.done += k
	return int(k)
}

// begun finds the prime, and with it the exponent of the proof.
func (w *Work) begun() (cost int) {
	l, counter := findPrime(w.transcript(w.x, w.form(w.number(w.y))))
	exponent := new(big.Int).Lsh(big.NewInt(1), uint(w.t))
	exponent.Quo(exponent, l)
	w.counter, w.proof = counter, newProof(w.n, exponent, w.marks, int(w.every/digitBits))
	return 1000
}
