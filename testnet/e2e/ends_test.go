//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// ends are the ways in which a task can end, the exit code of each, and what is said of it.
var ends = []struct {
	name, says string
	code       int
	args       []string // of a job's command
}{
	{"by itself", "", 0, []string{"true"}},
	{"with 1", "", 1, []string{"false"}},
	{"with 7", "", 7, []string{"sh", "-c", "exit 7"}},
	{"with 42", "", 42, []string{"sh", "-c", "exit 42"}},
	{"killed", "signal 9", 137, []string{"sh", "-c", "kill -9 $$"}},
	{"out of memory", "out of memory", 137, []string{"tail", "/dev/zero"}},
	{"on a full disk", "disk", 1, []string{"dd", "if=/dev/zero", "of=/filler", "bs=1M"}},
	{"before it began: nothing there", "not found", 127, []string{"nothing-like-it"}},
	{"before it began: no program", "a directory", 126, []string{"/etc"}},
}

func TestEveryEndOfATaskIsToldApartOnBothSides(t *testing.T) {
	n := start(t)
	sentences := map[string]string{}
	for _, c := range ends {
		args := append([]string{"--memory", "64MiB", "--disk", "64MiB", "oci-archive:busybox.tar"}, c.args...)
		r := n.run(args...)
		if r.code != c.code || !strings.Contains(r.stderr, c.says) {
			t.Errorf("%s: exit code %d, want %d, and %q in %s", c.name, r.code, c.code, c.says, r.stderr)
		}
		job := n.newest()
		text, same := n.receipts(job)
		said := ""
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "exit ") {
				said = line
			}
		}
		if !same || !strings.Contains(said, c.says) {
			t.Errorf("%s: both hold one receipt: %v; it says %q", c.name, same, said)
		}
		if other, ok := sentences[said]; ok {
			t.Errorf("%s and %s look the same: %q", c.name, other, said)
		}
		sentences[said] = c.name
		t.Logf("%s: %s", c.name, strings.TrimSpace(said))
	}
}
