package statement

import (
	"crypto/ed25519"
	"encoding/hex"
)

// smallOrder holds the y coordinates, sign of x cleared, of the points whose
// order divides eight, with the two encodings that are not reduced.
var smallOrder = decodeKeys(
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)

func decodeKeys(keys ...string) map[[ed25519.PublicKeySize]byte]bool {
	set := make(map[[ed25519.PublicKeySize]byte]bool, len(keys))
	for _, key := range keys {
		b, err := hex.DecodeString(key)
		if err != nil {
			panic(err) // a constant of ours
		}
		set[[ed25519.PublicKeySize]byte(b)] = true
	}
	return set
}
