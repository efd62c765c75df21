package seal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// Item is a seal and the hash of the beat it is to be for.
type Item struct {
	Beat statement.Hash
	Seal *leasev1.Seal
}

// ItemError says which item of a batch is refused.
type ItemError struct {
	Index int
	Err   error
}

func (e *ItemError) Error() string { return fmt.Sprintf("seal %d: %v", e.Index, e.Err) }
func (e *ItemError) Unwrap() error { return e.Err }

// VerifyBatch checks many seals of one lease together, and refuses what Verify
// would refuse, with an *ItemError for the first. It multiplies all equations,
// each raised to a weight that depends on every byte of all of them, so that a
// false one is not made good by another.
func VerifyBatch(p Params, items []Item) error {
	z, err := p.puzzle()
	if err != nil {
		return err
	}
	if len(items) >= fewest && z.verifyTogether(items) {
		return nil
	}
	for i, item := range items {
		if err := z.verify(z.start(item.Beat), item.Seal); err != nil {
			return &ItemError{Index: i, Err: err}
		}
	}
	return nil
}

// fewest is from how many seals on it pays to check them together.
const fewest = 128

const weightSize = 16 // bytes

func (p puzzle) verifyTogether(items []Item) bool {
	bases, exponents := make([]*big.Int, 0, 2*len(items)), make([][]byte, 0, 2*len(items))
	ys, weights := make([]*big.Int, 0, len(items)), weigh(items)
	for i, item := range items {
		start := p.start(item.Beat)
		c, err := p.claim(start, item.Seal)
		if err != nil {
			return false
		}
		pi, x, y := new(big.Int).SetBytes(item.Seal.GetPi()), new(big.Int).SetBytes(start), new(big.Int).SetBytes(item.Seal.GetY())
		bases, exponents = append(bases, pi, x), append(exponents, times(c.l, weights[i]), times(c.r, weights[i]))
		ys = append(ys, y)
	}
	left, right := product(p.n, bases, exponents), product(p.n, ys, weights)
	return bytes.Equal(p.form(left), p.form(right))
}

// times is the product of a number of 256 bits and a weight.
func times(a *big.Int, weight []byte) []byte {
	w := new(big.Int).SetBytes(weight)
	return w.Mul(w, a).FillBytes(make([]byte, 32+weightSize))
}

// weigh gives each item a weight that cannot be known before all of them are.
func weigh(items []Item) [][]byte {
	var all statement.Hash
	for _, item := range items {
		// Lengths are in it: what has another than it should is refused anyway.
		about := fmt.Appendf(nil, "%d %d %d ", len(item.Seal.GetY()), len(item.Seal.GetPi()), item.Seal.GetPrimeCounter())
		about = append(append(about, item.Seal.GetY()...), item.Seal.GetPi()...)
		hash := statement.HashPayload("seal-item", about)
		all = statement.H("seal-batch", all[:], item.Beat[:], hash[:])
	}
	return weights(all, len(items))
}

// weights are numbers of 128 bits: nobody can try so many batches.
func weights(all statement.Hash, n int) [][]byte {
	weights := make([][]byte, n)
	for i := range weights {
		w := statement.H("seal-weight", all[:], binary.BigEndian.AppendUint64(nil, uint64(i)))
		weights[i] = w[:weightSize]
	}
	return weights
}
