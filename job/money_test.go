package job

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestAmountIsTheFloorOfTheExactQuotient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		credit, price := rapid.Uint64().Draw(t, "credit"), rapid.Uint64().Draw(t, "price")
		gpus := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, math.MaxInt)).Draw(t, "gpus")
		want := new(big.Int).SetUint64(credit)
		want.Mul(want, new(big.Int).SetUint64(price)).Mul(want, big.NewInt(int64(gpus))).Quo(want, big.NewInt(3_600_000))
		got, err := Amount(credit, price, gpus)
		switch {
		case !want.IsUint64() && !errors.Is(err, ErrOverflow):
			t.Fatalf("Amount(%d, %d, %d) = %d, %v: want overflow", credit, price, gpus, got, err)
		case want.IsUint64() && (err != nil || got != want.Uint64()):
			t.Fatalf("Amount(%d, %d, %d) = %d, %v: want %s", credit, price, gpus, got, err, want)
		}
	})
}

func TestAmountNeverGoesDownAsCreditGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price, gpus := rapid.Uint64Range(0, MaxPrice).Draw(t, "price"), rapid.IntRange(1, MaxGPUs).Draw(t, "gpus")
		var credit, last uint64
		for _, step := range rapid.SliceOf(rapid.Uint64Range(0, 120_000)).Draw(t, "steps") {
			credit += step
			now, err := Amount(credit, price, gpus)
			if err != nil || now < last {
				t.Fatalf("after %d ms: %d, %v; before: %d", credit, now, err, last)
			}
			last = now
		}
	})
}

func TestAmountOfTheLargestLeaseFits(t *testing.T) {
	if _, err := Amount(uint64(MaxDuration.Milliseconds()), MaxPrice, MaxGPUs); err != nil {
		t.Error(err)
	}
}

func TestAmountKnowsSomeFigures(t *testing.T) {
	for _, c := range []struct {
		credit, price uint64
		gpus          int
		want          uint64
	}{
		{3_600_000, 350_000, 1, 350_000},
		{3_600_000, 350_000, 8, 2_800_000},
		{60_000, 350_000, 1, 5_833},
		{1, 3_599_999, 1, 0},
		{1, 3_600_000, 1, 1},
		{0, MaxPrice, 64, 0},
		{math.MaxUint64, 3_600_000, 1, math.MaxUint64},
	} {
		if got, err := Amount(c.credit, c.price, c.gpus); err != nil || got != c.want {
			t.Errorf("Amount(%d, %d, %d) = %d, %v: want %d", c.credit, c.price, c.gpus, got, err, c.want)
		}
	}
}

func TestAmountRefusesWhatDoesNotFit(t *testing.T) {
	for _, gpus := range []int{2, math.MaxInt} {
		if got, err := Amount(math.MaxUint64, math.MaxUint64, gpus); !errors.Is(err, ErrOverflow) {
			t.Errorf("%d GPUs: got %d, %v", gpus, got, err)
		}
	}
	if _, err := Amount(1, 1, -1); err == nil {
		t.Error("a negative count was taken")
	}
}

func TestParsePriceReadsDecimals(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "0.35": 350_000, "1": Micro, "0.000001": 1, "12.5": 12_500_000, "007": 7 * Micro,
		"1000000": MaxPrice, "1000000.000000": MaxPrice, "0.350000": 350_000,
	} {
		if got, err := ParsePrice(s); err != nil || got != want {
			t.Errorf("ParsePrice(%q) = %d, %v: want %d", s, got, err, want)
		}
	}
}

func TestParsePriceRefusesEverythingElse(t *testing.T) {
	for _, s := range []string{
		"", ".", "1.", ".5", "-1", "+1", "-0", "1e3", "1E-3", "0x10", "1,5", "1_000", " 1", "1 ", "1.2.3",
		"0.0000001", "1000000.000001", "99999999999999999999999", "NaN", "inf", "١", "0.35 credits", "1.\x00",
	} {
		if got, err := ParsePrice(s); err == nil {
			t.Errorf("ParsePrice(%q) = %d: want a refusal", s, got)
		}
	}
}

func TestFormatPriceShowsTwoDecimalsOrMore(t *testing.T) {
	for micro, want := range map[uint64]string{
		0: "0.00", 1: "0.000001", 300_000: "0.30", 350_000: "0.35", 355_000: "0.355", Micro: "1.00", MaxPrice: "1000000.00",
	} {
		if got := FormatPrice(micro); got != want {
			t.Errorf("FormatPrice(%d) = %q: want %q", micro, got, want)
		}
	}
}

func TestPricesSurviveWritingAndReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		micro := rapid.Uint64Range(0, MaxPrice).Draw(t, "micro")
		if got, err := ParsePrice(FormatPrice(micro)); err != nil || got != micro {
			t.Fatalf("%d became %q and then %d, %v", micro, FormatPrice(micro), got, err)
		}
	})
}

func FuzzParsePrice(f *testing.F) {
	for _, s := range []string{"0.35", "1", "1e9", "-1", "0.0000001", "999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		micro, err := ParsePrice(s)
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(s)
		if !ok || want.Mul(want, big.NewRat(Micro, 1)).Cmp(new(big.Rat).SetUint64(micro)) != 0 {
			t.Errorf("ParsePrice(%q) = %d", s, micro)
		}
	})
}
