// Package vectors holds no program in Go: it shows that SPEC.md and the vectors beside it are
// enough to write a verifier from, in another language.
package vectors

import (
	"os/exec"
	"testing"
)

func TestVerifierInPythonAgreesWithTheVectors(t *testing.T) {
	if exec.CommandContext(t.Context(), "python3", "-c", "pow(2, -1, 3)").Run() != nil {
		t.Skip("there is no Python 3.8 or later, and so the verifier in Python was not run")
	}
	out, err := exec.CommandContext(t.Context(), "python3", "-B", "verifier", "--vectors").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
