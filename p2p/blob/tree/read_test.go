package tree_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/rigmesh/rigmesh/p2p/blob/tree"
)

// An entry of nothing is two bytes in a manifest and many times that in memory.
func TestAManifestOfTooManyEntriesIsRefusedBeforeTheyAreMade(t *testing.T) {
	s := store(t)
	digest, err := s.PutBytes(t.Context(), bytes.Repeat([]byte{0x0a, 0}, 200_000))
	if err != nil {
		t.Fatal(err)
	}
	made := testing.AllocsPerRun(1, func() {
		if _, err := tree.ReadManifest(t.Context(), s, digest, tree.Limits{}); !errors.Is(err, tree.ErrTooMuch) {
			t.Errorf("got %v, want ErrTooMuch", err)
		}
	})
	if made > 10_000 {
		t.Errorf("%.0f allocations to find that out", made)
	}
}

func TestBytesThatAreNoManifestAreRefused(t *testing.T) {
	s := store(t)
	for _, b := range []string{"\x0a", "\x0a\x05ab", "\xff", "\x0c", "\x0a\x01\xff"} {
		digest, err := s.PutBytes(t.Context(), []byte(b))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tree.ReadManifest(t.Context(), s, digest, tree.Limits{}); !errors.Is(err, tree.ErrManifest) {
			t.Errorf("%q: got %v, want ErrManifest", b, err)
		}
	}
}
