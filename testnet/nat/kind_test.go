//go:build linux

package nat

import "testing"

func TestKindsAreReadAsTheyAreWritten(t *testing.T) {
	for _, k := range Kinds {
		if got, err := Parse(k.String()); err != nil || got != k {
			t.Errorf("%s: %v, %v", k, got, err)
		}
	}
	if _, err := Parse("carrier"); err == nil {
		t.Error("there is no such kind")
	}
}

// Two nodes cannot meet when each waits for the other to show a port that it has
// nowhere else: everybody else's can be told.
func TestOnlySymmetricNATsKeepNodesApart(t *testing.T) {
	apart := map[[2]Kind]bool{
		{PortRestricted, Symmetric}: true, {Symmetric, Symmetric}: true, {Symmetric, UDPBlocked}: true,
	}
	for _, a := range Kinds {
		for _, b := range Kinds {
			if got, want := Meet(a, b), !apart[[2]Kind{min(a, b), max(a, b)}]; got != want {
				t.Errorf("%s and %s meet: %v", a, b, got)
			}
		}
	}
}
