package receipt_test

import (
	"bytes"
	"errors"
	"testing"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// TestEveryFlippedBitOfEveryStatementIsRefused goes through all bits of payload and
// signature of one statement of each type.
func TestEveryFlippedBitOfEveryStatementIsRefused(t *testing.T) {
	for _, typ := range statement.Types() {
		s, key := sample(t, typ)
		flip := func(payload, signature []byte, at int) {
			if _, _, err := open(typ, payload, signature, publicOf(key)); err == nil {
				t.Errorf("%s: bit %d flipped, and it opens", typ, at)
			}
		}
		for i := range 8 * len(s.Payload) {
			flip(flipped(s.Payload, i), s.Signature, i)
		}
		for i := range 8 * len(s.Signature) {
			flip(s.Payload, flipped(s.Signature, i), 8*len(s.Payload)+i)
		}
		for i := range 8 * len(typ) {
			other := &marketv1.Signed{Type: string(flipped([]byte(typ), i)), Payload: s.Payload, Signature: s.Signature}
			if err := statement.CheckSignature(other, publicOf(key)); !errors.Is(err, statement.ErrSignature) {
				t.Errorf("%s: bit %d of its type flipped: %v", typ, i, err)
			}
		}
	}
}

func flipped(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}
