package seal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// Many seals can be folded into one proof: with a weight for each that depends on
// all of them, the product Y of all y is the answer to the puzzle that begins at
// the product X of all x. Who holds the answers makes that proof once, for the
// work of one seal more; checking a thousand seals then takes a quarter of the
// time, and none of their own proofs.

// BeginFold begins the one proof for many seals of one lease, which were
// verified. Of a seal it takes y alone; the result is a seal with Y in it.
func BeginFold(p Params, items []Item) (*Work, error) {
	z, err := p.puzzle()
	if err != nil {
		return nil, err
	}
	x, _, err := z.fold(items)
	if err != nil {
		return nil, err
	}
	return z.begin(x), nil
}

// VerifyFold checks many seals of one lease by the one proof for all of them. It
// does not look at their own.
func VerifyFold(p Params, items []Item, proof *leasev1.Seal) error {
	z, err := p.puzzle()
	if err != nil {
		return err
	}
	x, y, err := z.fold(items)
	if err != nil {
		return err
	}
	if !bytes.Equal(y, proof.GetY()) {
		return fmt.Errorf("%w: of other seals", ErrProof)
	}
	return z.verify(x, proof)
}

// fold gives X and Y.
func (p puzzle) fold(items []Item) (x, y []byte, err error) {
	if len(items) == 0 {
		return nil, nil, fmt.Errorf("%w: nothing to fold", ErrForm)
	}
	all := statement.H("seal-fold", binary.BigEndian.AppendUint32(nil, p.modulus), binary.BigEndian.AppendUint64(nil, p.t))
	xs, ys := make([]*big.Int, len(items)), make([]*big.Int, len(items))
	for i, item := range items {
		if err := p.check(item.Seal.GetY()); err != nil {
			return nil, nil, &ItemError{Index: i, Err: err}
		}
		all = statement.H("seal-fold", all[:], item.Beat[:], item.Seal.GetY())
		xs[i], ys[i] = new(big.Int).SetBytes(p.start(item.Beat)), new(big.Int).SetBytes(item.Seal.GetY())
	}
	w := weights(all, len(items))
	return p.form(product(p.n, xs, w)), p.form(product(p.n, ys, w)), nil
}
