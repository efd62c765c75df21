package main

import (
	"strings"
	"testing"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// What doctor exits with depends on the machine it runs on.
func TestDoctorSaysWhatNATItSaw(t *testing.T) {
	out, _, _ := startFakeNode(t).rigmesh("doctor")
	want := "through relays aRelay01 and aRelay02, then directly where the NATs allow it. " +
		"UDP: a NAT with one port for all, which can be punched; TCP: a NAT with a port for each peer, which cannot"
	if !strings.Contains(out, want) {
		t.Errorf("doctor says\n%s", out)
	}
}

func TestEveryReachHasItsWords(t *testing.T) {
	seen := map[string]bool{}
	for value := range controlv1.Reach_name {
		says := reached(&controlv1.ReachResponse{Reach: controlv1.Reach(value), Relays: []string{"12D3KooWRelay"}, Serves: true})
		if seen[says] || !strings.HasSuffix(says, "; relays for others") {
			t.Errorf("%s: %q", controlv1.Reach(value), says)
		}
		seen[says] = true
	}
}
