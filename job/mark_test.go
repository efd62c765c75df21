package job

import "testing"

func TestAMarkIsTheBeginningOfADigest(t *testing.T) {
	for digest, want := range map[string]uint32{"sha256:0102a0ff33": 0x0102a0ff, "sha256:0102a0": 0, "sha256:zz02a0ff": 0, "": 0} {
		if got := Mark(digest); got != want {
			t.Errorf("mark of %q: %08x, want %08x", digest, got, want)
		}
	}
}
