package worker

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzSamplesFile: whatever a power cut leaves of a file of samples, those before it are there, and more can be added.
func FuzzSamplesFile(f *testing.F) {
	requester := make([]byte, 32)
	header := append([]byte(samplesMagic), requester...)
	f.Add(append(bytes.Clone(header), "\x03abc\x00\x02de"...))
	f.Add(append(bytes.Clone(header), "\x03abc\x05de"...))
	f.Add(header[:9])
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "samples")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openSamples(path, requester)
		if err != nil {
			return
		}
		count := s.size()
		if err := s.add([]byte("new")); err != nil {
			t.Fatal(err)
		}
		_ = s.close()
		again, err := openSamples(path, requester)
		if err != nil {
			t.Fatal(err)
		}
		defer again.close()
		got, err := again.read(count, 1, 1<<20)
		if err != nil || again.size() != count+1 || len(got) != 1 || string(got[0]) != "new" {
			t.Errorf("%d samples, then %d, of which the last are %q, %v", count, again.size(), got, err)
		}
	})
}
