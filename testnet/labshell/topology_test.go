//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/testnet/nat"
)

func TestATopologyIsReadFromItsFile(t *testing.T) {
	words, err := read(strings.NewReader("hub  # first\n\nrigs=worker:port-restricted:3 laptop=requester:symmetric\n"))
	if err != nil {
		t.Fatal(err)
	}
	sites, err := parseAll(words)
	if err != nil {
		t.Fatal(err)
	}
	want := []site{
		{"hub", hub, nat.None, 1}, {"rigs", worker, nat.PortRestricted, 3}, {"laptop", requester, nat.Symmetric, 1},
	}
	if !slices.Equal(sites, want) {
		t.Errorf("got %+v", sites)
	}
	if got := nat.Hosts(sites[1].name, sites[1].many); !slices.Equal(got, []string{"rigs1", "rigs2", "rigs3"}) {
		t.Errorf("nodes %v", got)
	}
}

func TestEveryMistakeInATopologyIsNamed(t *testing.T) {
	_, err := parseAll([]string{"worker:nice", "boss", "hub:symmetric", "worker:none:99", "Hub=hub", "hub", "hub"})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`no NAT is called "nice"`, `"boss": want [NAME=]ROLE`, "a hub has a public address", "1 to 50 nodes",
		"begins with a letter", "there is a hub already", "the first has to be a hub",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestTheSixNodesAreATopology(t *testing.T) {
	if sites, err := parseAll(strings.Fields(sixNodes)); err != nil || len(sites) != 6 {
		t.Errorf("%v, %v", sites, err)
	}
}
