package seal

import (
	"bytes"
	"errors"
	"math/big"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestBatchRefusesWhatOneByOneIsRefused(t *testing.T) {
	p, _ := small(1024)
	items := make([]Item, fewest)
	for i := range items {
		items[i] = Item{Beat: beatHash(i), Seal: p.make(beatHash(i))}
	}
	if !p.verifyTogether(items) {
		t.Fatal("a good batch is refused")
	}
	const at = 41
	for name, change := range map[string]func(*Item){
		"no seal":      func(it *Item) { it.Seal = nil },
		"other beat":   func(it *Item) { it.Beat = beatHash(1000) },
		"other y":      func(it *Item) { it.Seal.Y[20] ^= 1 },
		"other pi":     func(it *Item) { it.Seal.Pi[20] ^= 1 },
		"other prime":  func(it *Item) { it.Seal.PrimeCounter++ },
		"another seal": func(it *Item) { it.Seal = items[at+1].Seal },
	} {
		bad := append([]Item(nil), items...)
		bad[at].Seal = proto.Clone(items[at].Seal).(*leasev1.Seal)
		change(&bad[at])
		if p.verifyTogether(bad) {
			t.Errorf("%s: the batch is good", name)
		}
	}
	// Two wrong proofs whose errors cancel out in a plain product.
	bad := append([]Item(nil), items...)
	for i, factor := range []int64{2, 0} {
		f := big.NewInt(factor)
		if factor == 0 {
			f.ModInverse(big.NewInt(2), p.n)
		}
		s := proto.Clone(items[i].Seal).(*leasev1.Seal)
		pi := new(big.Int).SetBytes(s.Pi)
		s.Pi = p.reference().form(pi.Mul(pi, f).Mod(pi, p.n))
		bad[i].Seal = s
	}
	if p.verifyTogether(bad) {
		t.Error("two errors cancel out")
	}
}

func TestBatchNamesTheFirstBadSeal(t *testing.T) {
	params := Params{Modulus: 1, T: MinT}
	var items []Item
	for i := range 3 {
		s, err := Make(params, beatHash(i))
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, Item{Beat: beatHash(i), Seal: s})
	}
	if err := errors.Join(VerifyBatch(params, items), VerifyBatch(params, nil)); err != nil {
		t.Fatal(err)
	}
	items[1].Seal.Pi = items[2].Seal.Pi
	var at *ItemError
	if err := VerifyBatch(params, items); !errors.As(err, &at) || at.Index != 1 || !errors.Is(err, ErrProof) {
		t.Errorf("%v; seal 1 is wrong", err)
	}
}

func TestOneProofHoldsForAllTheSealsItFolds(t *testing.T) {
	p := Params{Modulus: 1, T: MinT}
	var items []Item
	for i := range 20 {
		s, err := Make(p, beatHash(i))
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, Item{Beat: beatHash(i), Seal: &leasev1.Seal{Y: s.GetY()}})
	}
	w, err := BeginFold(p, items)
	if err != nil {
		t.Fatal(err)
	}
	for !w.Step(100) {
	}
	if err := VerifyFold(p, items, w.Seal()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(items []Item) []Item{
		"one left out":   func(it []Item) []Item { return it[1:] },
		"one twice":      func(it []Item) []Item { return append(it, it[0]) },
		"two exchanged":  func(it []Item) []Item { it[3], it[4] = it[4], it[3]; return it },
		"another beat":   func(it []Item) []Item { it[5].Beat = beatHash(99); return it },
		"another answer": func(it []Item) []Item { it[5].Seal = it[6].Seal; return it },
		"no answer":      func(it []Item) []Item { it[5].Seal = nil; return it },
		"none":           func([]Item) []Item { return nil },
	} {
		if VerifyFold(p, change(slices.Clone(items)), w.Seal()) == nil {
			t.Errorf("%s: the proof holds", name)
		}
	}
	// A wrong answer, and the right proof for what was folded with it.
	items[7].Seal = &leasev1.Seal{Y: bytes.Clone(items[7].Seal.GetY())}
	items[7].Seal.Y[Size-1] ^= 1
	if w, err = BeginFold(p, items); err != nil {
		t.Fatal(err)
	}
	for !w.Step(1 << 20) {
	}
	if err := VerifyFold(p, items, w.Seal()); !errors.Is(err, ErrProof) {
		t.Errorf("a wrong answer is folded in: %v", err)
	}
	for _, proof := range []*leasev1.Seal{nil, {}, items[0].Seal} {
		if VerifyFold(p, items[:3], proof) == nil {
			t.Errorf("%v is taken for a proof", proof)
		}
	}
}
