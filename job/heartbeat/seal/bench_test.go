package seal

import (
	"testing"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// day is what a lease of 24 hours with a heartbeat a minute has.
const day = 1440

var daily = Params{Modulus: 1, T: 1 << 18}

func BenchmarkMake(b *testing.B) {
	for b.Loop() {
		if _, err := Make(daily, beatHash(0)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSquarings(b *testing.B) {
	for b.Loop() {
		w, err := Begin(daily, beatHash(0))
		if err != nil {
			b.Fatal(err)
		}
		w.Step(int(daily.T))
	}
}

func BenchmarkVerify(b *testing.B) {
	s, err := Make(daily, beatHash(0))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := Verify(daily, beatHash(0), s); err != nil {
			b.Fatal(err)
		}
	}
}

// T changes only what a seal costs to make.
func BenchmarkVerifyBatchOfADay(b *testing.B) {
	p, items := Params{Modulus: 1, T: MinT}, make([]Item, day)
	for i := range items {
		s, err := Make(p, beatHash(i))
		if err != nil {
			b.Fatal(err)
		}
		items[i] = Item{Beat: beatHash(i), Seal: s}
	}
	for b.Loop() {
		if err := VerifyBatch(p, items); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyFoldOfADay(b *testing.B) {
	p, items := Params{Modulus: 1, T: MinT}, make([]Item, day)
	for i := range items {
		items[i] = Item{Beat: beatHash(i), Seal: &leasev1.Seal{Y: reference{n: groups[1].n, t: MinT}.answer(beatHash(i))}}
	}
	w, err := BeginFold(p, items)
	if err != nil {
		b.Fatal(err)
	}
	for !w.Step(1 << 20) {
	}
	for b.Loop() {
		if err := VerifyFold(p, items, w.Seal()); err != nil {
			b.Fatal(err)
		}
	}
}
