package gpu

import (
	"cmp"
	"strconv"
	"strings"
)

// Version is dotted numbers: a driver's "580.95.05", a compute capability "8.9",
// CUDA's "12.4". What follows a part's digits does not count. "" is before all others.
type Version string

// Compare is negative when v is before w, positive when it is after. Missing parts are 0.
func (v Version) Compare(w Version) int {
	if v == "" || w == "" {
		return cmp.Compare(len(v), len(w))
	}
	a, b := string(v), string(w)
	for a != "" || b != "" {
		var x, y uint64
		x, a = nextPart(a)
		y, b = nextPart(b)
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return 0
}

// AtLeast says whether v is least or after it. Everything is at least "".
func (v Version) AtLeast(least Version) bool { return v.Compare(least) >= 0 }

// Valid says whether v is one to six dotted numbers and nothing else.
func (v Version) Valid() bool {
	parts := strings.Split(string(v), ".")
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 10, 32); err != nil {
			return false
		}
	}
	return len(parts) <= 6
}

func nextPart(s string) (uint64, string) {
	part, rest, _ := strings.Cut(s, ".")
	end := 0
	for end < len(part) && part[end] >= '0' && part[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(part[:end], 10, 64)
	if err != nil {
		n = 0
	}
	return n, rest
}
