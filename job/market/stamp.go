package market

import "math/bits"

// StampBits counts the zero bits that an announcement's hash begins with. Each one
// more doubles the work of whoever made the announcement, and costs whoever checks
// it nothing.
func StampBits(hash [32]byte) int {
	n := 0
	for _, b := range hash {
		if b != 0 {
			return n + bits.LeadingZeros8(b)
		}
		n += 8
	}
	return n
}

// MaxStampBits is the most that a worker may ask for: some seconds of one core.
const MaxStampBits = 22
