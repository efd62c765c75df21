//go:build linux

package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestATaskStandsStillAndItsLogKnowsWhen(t *testing.T) {
	n := start(t)
	job := n.detach("oci-archive:busybox.tar", "sh", "-c", "trap 'echo caught >&2; exit 3' TERM; i=0; while :; do echo tick $((i+=1)); sleep 0.1; done")
	n.await(job, "tick 5\n")
	if r := n.rigmesh("freeze", "--data", laptop, job); r.code != 0 {
		t.Fatalf("freeze: %s", r.stderr)
	}
	n.awaitJob(job, "frozen", func(j listed) bool { return strings.Contains(j.State, "frozen") })
	still := func() string { return n.rigmesh("logs", "--data", laptop, job).stdout }
	before := still()
	n.until(func() bool { // what was under way has come
		was := before
		before = still()
		return before == was
	}, func() string { return "a frozen task goes on printing" })
	if r := n.exec("", job, "true"); r.code != 125 || !strings.Contains(r.stderr, "stands still") {
		t.Errorf("a program in a frozen task: %+v", r)
	}
	beats := n.ps(job).Beats
	n.awaitJob(job, "two beats on", func(j listed) bool { return j.Beats >= beats+2 })
	if now := still(); now != before {
		t.Errorf("a frozen task printed %q", strings.TrimPrefix(now, before))
	}
	thawed := time.Now()
	if r := n.rigmesh("thaw", "--data", laptop, job); r.code != 0 {
		t.Fatalf("thaw: %s", r.stderr)
	}
	next := "tick " + strconv.Itoa(strings.Count(before, "\n")+1) + "\n"
	n.await(job, next)
	if r := n.rigmesh("stop", "--data", laptop, job); r.code != 0 {
		t.Errorf("stop: %s", r.stderr)
	}
	if r := n.rigmesh("attach", "--data", laptop, job); r.code != 3 {
		t.Errorf("attach exited with %d: %s", r.code, r.stderr)
	}
	n.logTimes(job, before, thawed)
}

// logTimes looks at the times in the log of a job that had printed some before a moment,
// and then nothing until it.
func (n *network) logTimes(job, before string, moment time.Time) {
	n.t.Helper()
	all := n.rigmesh("logs", "--data", laptop, job)
	since := n.rigmesh("logs", "--data", laptop, "--since", moment.UTC().Format(time.RFC3339Nano), job)
	if since.stdout == "" || before+since.stdout != all.stdout || since.stderr != "caught\n" {
		n.t.Errorf("since the thaw: %q and %q; all is %q", since.stdout, since.stderr, all.stdout)
	}
	stamped := n.rigmesh("logs", "--data", laptop, "--timestamps", job).stdout
	var plain strings.Builder
	last := time.Time{}
	for line := range strings.Lines(stamped) {
		stamp, rest, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339, stamp)
		if err != nil || at.Before(last) {
			n.t.Errorf("line %q after %v: %v", line, last, err)
		}
		last = at
		plain.WriteString(rest)
	}
	if plain.String() != all.stdout {
		n.t.Errorf("with times %q, without %q", stamped, all.stdout)
	}
}
