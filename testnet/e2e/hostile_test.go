//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var floodMiB = flag.Int("flood-mib", 64, "how much TestHostileJobsHarmNeitherTheNodeNorANeighbour prints")

// hostile jobs do what they can to their host, and end with one of these codes: what a
// shell says when it gets no more of something differs.
var hostile = []struct {
	name, line string
	codes      []int
}{
	{"fork bomb", "sleep 2 & p=$!; (while :; do (while :; do sleep 100 & done) & done) 2>/dev/null & wait $p; exit 9", []int{9, 137}},
	{"memory", "exec tail /dev/zero", []int{137}},
	{"flood", "dd if=/dev/zero bs=1M count=%d 2>/dev/null; exit 9", []int{9}},
	{"disk", "dd if=/dev/zero of=/filler bs=1M 2>/dev/null; exit 9", []int{9}},
	{"inodes", "i=0; while : >/$((i+=1)); do :; done 2>/dev/null; exit 9", []int{1, 2, 9}},
	{"zombies", "for i in $(seq 2000); do (true &); done; exit 9", []int{9}},
}

// mostMemory is what a node may have had resident at any time, in KiB.
const mostMemory = 150 << 10

func TestHostileJobsHarmNeitherTheNodeNorANeighbour(t *testing.T) {
	n := prepare(t, binary)
	// Two at a time of somebody unknown: this owner is bold.
	n.mkdir(attic)
	if err := os.WriteFile(n.Path(attic, "config.yaml"), []byte("stranger-leases: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.startWorker()
	neighbour := n.detach("--interval", "5s", "oci-archive:busybox.tar", "sh", "-c", "trap 'exit 7' TERM; echo on; while :; do sleep 0.1; done")
	n.await(neighbour, "on")
	for _, h := range hostile {
		line := h.line
		if strings.Contains(line, "%d") {
			line = fmt.Sprintf(line, *floodMiB)
		}
		r := n.run("--memory", "64MiB", "--disk", "64MiB", "oci-archive:busybox.tar", "sh", "-c", line)
		if !slices.Contains(h.codes, r.code) {
			t.Errorf("%s: exit code %d, want one of %v\n%s", h.name, r.code, h.codes, r.stderr)
		}
	}
	if most := n.peakMemory(); most > mostMemory {
		t.Errorf("the worker's node had %d KiB resident", most)
	}
	if r := n.rigmesh("stop", "--data", laptop, neighbour); r.code != 0 {
		t.Errorf("stop: %s", r.stderr)
	}
	r := n.rigmesh("attach", "--data", laptop, neighbour)
	if r.code != 7 {
		t.Errorf("the neighbour exited with %d", r.code)
	}
	for _, word := range []string{"no beat", "stand still", "does not fit"} {
		if strings.Contains(r.stderr, word) {
			t.Errorf("the neighbour's lease was in trouble:\n%s", r.stderr)
		}
	}
}

// peakMemory is the most that the worker's node ever had resident, in KiB.
func (n *network) peakMemory() (kib int) {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.worker.PID()))
	if err != nil {
		n.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	if _, err := fmt.Sscan(after, &kib); err != nil {
		n.t.Fatal(err)
	}
	n.t.Logf("the worker's node had %d KiB resident at most", kib)
	return kib
}
