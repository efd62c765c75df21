//go:build linux

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The shell's commands, typed by a script. Nobody lends here, so there are no containers.
func TestTheShellsCommandsReachTheNodes(t *testing.T) {
	const binary = "../../bin/rigmesh"
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skip("bin/rigmesh is not built: make build")
	}
	const script = `
laptop status | sed -n 's/^network/it is on/p'
inside laptop ip -o addr show eth0 | grep -o 192.168.1.2/24
cut laptop; inside laptop ip -o link show eth0 | grep -o 'state DOWN'
mend laptop; inside laptop ip route | grep -o 'default via 192.168.1.1'
freeze laptop; sed -n 's/^State:\t\(T\).*/frozen \1/p' /proc/$(cat $LABDIR/laptop.pid)/status
thaw laptop; laptop status --json | grep -o '"network": "main"'
freeze hub
`
	var out bytes.Buffer
	if err := run(binary, "", []string{"hub", "laptop=requester:port-restricted"}, terminal{strings.NewReader(script), &out}); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"laptop       requester, behind a NAT of kind port-restricted", "it is on", "192.168.1.2/24", "state DOWN",
		"default via 192.168.1.1", "frozen T", `"network": "main"`,
		"left behind: 0 processes, 0 containers, 0 mounts, 0 network namespaces, 0 cgroups",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}
