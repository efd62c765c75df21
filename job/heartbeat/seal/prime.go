package seal

import (
	"encoding/binary"
	"math/big"

	"github.com/rigmesh/rigmesh/job/statement"
)

// maxCounter bounds prime_counter. One number in 89 is prime here, so a maker
// never gets near.
const maxCounter = 1 << 16

// transcript is what the prime of a proof depends on: everything that the proof
// is about. Without T in it, a proof for one T could be bent into one for another.
func (p puzzle) transcript(x, y []byte) statement.Hash {
	return statement.H("seal-proof", binary.BigEndian.AppendUint32(nil, p.modulus), binary.BigEndian.AppendUint64(nil, p.t), x, y)
}

// candidate is an odd number of 256 bits.
func candidate(transcript statement.Hash, counter uint32) *big.Int {
	h := statement.H("seal-prime", transcript[:], binary.BigEndian.AppendUint32(nil, counter))
	h[0] |= 0x80
	h[len(h)-1] |= 1
	return new(big.Int).SetBytes(h[:])
}

// findPrime finds the prime with the smallest counter.
func findPrime(transcript statement.Hash) (*big.Int, uint32) {
	for counter := uint32(0); ; counter++ {
		if l := candidate(transcript, counter); l.ProbablyPrime(0) {
			return l, counter
		}
	}
}

// primeAt is the prime that a counter names. It need not be the smallest: a
// maker that tries others gains nothing that it would not gain by trying other
// answers.
func primeAt(transcript statement.Hash, counter uint32) (*big.Int, error) {
	if counter >= maxCounter {
		return nil, ErrPrime
	}
	l := candidate(transcript, counter)
	if !l.ProbablyPrime(0) {
		return nil, ErrPrime
	}
	return l, nil
}
