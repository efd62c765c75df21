package job

import (
	"testing"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestEveryCauseHasASentenceOfItsOwn(t *testing.T) {
	seen := make(map[string]bool)
	for n := range leasev1.Cause_name {
		s := CauseSentence(&leasev1.Exit{Cause: leasev1.Cause(n)})
		if (s == "") != (n == 0) || seen[s] {
			t.Errorf("%s: %q", leasev1.Cause(n), s)
		}
		seen[s] = true
	}
	if CauseSentence(&leasev1.Exit{Oom: true}) == "" || CauseSentence(nil) != "" || CauseSentence(&leasev1.Exit{Cause: 99}) != "" {
		t.Error("sentences for what is not a cause")
	}
}
