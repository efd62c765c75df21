package ociregistry

import "testing"

// FuzzReference: what a name was taken for is a name that means the same.
func FuzzReference(f *testing.F) {
	for _, text := range []string{"alpine", "alpine:3.20", "ghcr.io/a/b:c", "127.0.0.1:5000/x@sha256:0000000000000000000000000000000000000000000000000000000000000000", "a/b/c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parse(text)
		if err != nil {
			return
		}
		if again, err := parse(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%q is %s, which is %s, %v", text, r, again, err)
		}
	})
}
