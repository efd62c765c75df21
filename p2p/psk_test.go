package p2p

import "testing"

// FuzzPSK: the key of a private network has its length, or is refused.
func FuzzPSK(f *testing.F) {
	f.Add([]byte("/key/swarm/psk/1.0.0/\n/base16/\n0000000000000000000000000000000000000000000000000000000000000000\n"))
	f.Add([]byte("0000000000000000000000000000000000000000000000000000000000000000\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if key, err := parsePSK(text); err == nil && len(key) != pskSize {
			t.Errorf("%d bytes", len(key))
		}
	})
}
