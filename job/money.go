package job

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Micro is one credit in micro-credits. Every amount and price is a whole
// number of micro-credits; no float is ever on the way.
const Micro = 1_000_000

// MaxPrice is the highest price per GPU-hour, in micro-credits, that a message may name: a million credits.
const MaxPrice = 1_000_000 * Micro

const msPerHour = 3_600_000

// ErrOverflow: an amount does not fit in 64 bits.
var ErrOverflow = errors.New("amount overflows")

// Amount is what gpus devices cost for creditMS milliseconds each, at price
// micro-credits per GPU-hour, rounded down to a micro-credit. It is always taken
// from the cumulative credit, so that rounding never adds up. ErrOverflow when
// the result does not fit.
func Amount(creditMS, price uint64, gpus int) (uint64, error) {
	if gpus < 0 {
		return 0, fmt.Errorf("amount for %d GPUs: the count is negative", gpus)
	}
	n := uint64(gpus)
	hi, lo := bits.Mul64(creditMS, price)
	carry, lo := bits.Mul64(lo, n)
	over, hi := bits.Mul64(hi, n)
	hi, wrapped := bits.Add64(hi, carry, 0)
	if over != 0 || wrapped != 0 || hi >= msPerHour {
		return 0, fmt.Errorf("amount for %d ms at %d on %d GPUs: %w", creditMS, price, gpus, ErrOverflow)
	}
	amount, _ := bits.Div64(hi, lo, msPerHour)
	return amount, nil
}

// ParsePrice reads a decimal number of credits, such as "0.35", with at most six
// decimals, as micro-credits. Signs, exponents, separators and more than MaxPrice are refused.
func ParsePrice(s string) (uint64, error) {
	whole, frac, dotted := strings.Cut(s, ".")
	if !digits(whole) || (dotted && !digits(frac)) {
		return 0, fmt.Errorf("price %q: want a number of credits such as 0.35", CleanText(s))
	}
	if len(frac) > 6 {
		return 0, fmt.Errorf("price %q: at most 6 decimals", CleanText(s))
	}
	micro, err := strconv.ParseUint(whole+frac+strings.Repeat("0", 6-len(frac)), 10, 64)
	if err != nil || micro > MaxPrice {
		return 0, fmt.Errorf("price %q: at most %s credits", CleanText(s), FormatPrice(MaxPrice))
	}
	return micro, nil
}

// FormatPrice writes micro-credits as credits, with two decimals or as many more
// as it takes to be exact. ParsePrice reads it back.
func FormatPrice(micro uint64) string {
	frac := strings.TrimRight(fmt.Sprintf("%06d", micro%Micro), "0")
	if len(frac) < 2 {
		frac += strings.Repeat("0", 2-len(frac))
	}
	return strconv.FormatUint(micro/Micro, 10) + "." + frac
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
