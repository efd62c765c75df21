package seal

import (
	"math/big"
	"testing"
)

func TestTwoPowersAtOnceAreThoseOfMathBig(t *testing.T) {
	n := rsa(t, 1024).n
	m, a, b := newMultiplier(n), big.NewInt(0x1234567), new(big.Int).Sub(n, big.NewInt(5))
	for _, bits := range [][2]uint{{0, 0}, {1, 1}, {0, 7}, {255, 256}, {256, 3}, {64, 63}} {
		e, f := new(big.Int).Lsh(big.NewInt(1), bits[0]), new(big.Int).Lsh(big.NewInt(1), bits[1])
		e.Sub(e, big.NewInt(1))
		want := new(big.Int).Exp(a, e, n)
		want.Mul(want, new(big.Int).Exp(b, f, n)).Mod(want, n)
		if got := m.powers(a, e, b, f); got.Cmp(want) != 0 {
			t.Errorf("%d and %d bits: %x, not %x", bits[0], bits[1], got, want)
		}
	}
}

func TestMultiplierAgreesWithDivision(t *testing.T) {
	smallOne, _ := small(1024)
	odd := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 320), big.NewInt(197))
	for _, n := range []*big.Int{rsa(t, 1024).n, smallOne.n, odd} {
		m, top := newMultiplier(n), new(big.Int).Sub(n, big.NewInt(1))
		x, y := new(big.Int).Set(top), new(big.Int).Set(top)
		for i := range 2000 {
			want := new(big.Int).Mul(x, y)
			want.Mod(want, n)
			m.mul(x, y)
			if x.Cmp(want) != 0 {
				t.Fatalf("product %d modulo %d bits is %x, not %x", i, n.BitLen(), x, want)
			}
			switch i % 4 {
			case 0:
				y.Sub(n, x)
			case 1:
				y.Set(top)
			case 2:
				y.Rsh(x, uint(i)%300)
			default:
				y.SetUint64(uint64(i % 8))
				x.Sub(top, x)
			}
			if x.Sign() == 0 {
				x.Set(top)
			}
		}
	}
}
