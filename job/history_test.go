package job

import (
	"flag"
	"math/big"
	"math/rand/v2"
	"testing"
)

var histories = flag.Int("histories", 20_000, "`number` of random histories of money")

// TestEveryHistoryOfMoneyIsExact lets a lease be credited bit by bit. However it is cut,
// each sum is what numbers without bounds give, and what the pieces cost adds up to the
// whole: nothing is made or lost by rounding.
func TestEveryHistoryOfMoneyIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	perHour := big.NewInt(3_600_000)
	for range *histories {
		price, gpus := random.Uint64N(MaxPrice)>>random.UintN(40), 1+random.IntN(64)
		rate := new(big.Int).Mul(new(big.Int).SetUint64(price), big.NewInt(int64(gpus)))
		var credit, paid, before uint64
		for range 1 + random.IntN(30) {
			credit += random.Uint64N(1 << random.UintN(34)) // up to half a year
			amount, err := Amount(credit, price, gpus)
			want := new(big.Int).Mul(new(big.Int).SetUint64(credit), rate)
			want.Div(want, perHour)
			if !want.IsUint64() {
				if err == nil {
					t.Fatalf("%d ms at %d on %d GPUs: %d, and it is %s", credit, price, gpus, amount, want)
				}
				break
			}
			if err != nil || amount != want.Uint64() || amount < before {
				t.Fatalf("%d ms at %d on %d GPUs: %d, %v; it is %s, and %d was owed before", credit, price, gpus, amount, err, want, before)
			}
			paid += amount - before
			before = amount
			if back, err := ParsePrice(FormatPrice(amount)); amount <= MaxPrice && (err != nil || back != amount) {
				t.Fatalf("%d is written %s and read %d, %v", amount, FormatPrice(amount), back, err)
			}
		}
		if paid != before {
			t.Fatalf("the pieces cost %d, and the whole %d", paid, before)
		}
	}
}
