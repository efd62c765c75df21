package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestAJobThatIsWorkedInEndsWithItsProgram(t *testing.T) {
	f := startFakeNode(t)
	f.events = []*leasev1.JobEvent{bidEvent(300_000), leaseEvent(), phaseEvent(leasev1.Phase_PHASE_PULLING), phaseEvent(leasev1.Phase_PHASE_RUNNING), beatEvent(42_000, 3500)}
	f.stopped = []*leasev1.JobEvent{endEvent(leasev1.Outcome_OUTCOME_STOPPED, &leasev1.Exit{})}
	stdout, stderr, code := f.rigmesh("run", "-i", image(t), "say", "hello\n")
	if code != 0 || stdout != "hello\n" || !strings.Contains(stderr, "to stderr\n") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if diff := cmp.Diff([]string{"/.rigmesh/init", "stay"}, f.submission.Spec.Entrypoint); diff != "" || len(f.submission.Spec.Command) != 0 {
		t.Errorf("asked for %v, %s", f.submission.Spec, diff)
	}
	if abandon := <-f.stops; abandon {
		t.Error("the lease was given up instead of ended")
	}
	if _, _, code := f.rigmesh("run", "-i", "--entrypoint", "exit", image(t), "42"); code != 42 {
		t.Errorf("exit code %d", code)
	}
	<-f.stops
}

func TestAJobThatIsWorkedInIsTypedWithACommandAndATerminal(t *testing.T) {
	f := startFakeNode(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-i", image(t)}, "want a COMMAND"},
		{[]string{"-it", image(t), "sh"}, "standard input is not a terminal"},
		{[]string{"-i", "-d", image(t), "sh"}, "-d leaves the job alone"},
	} {
		_, stderr, code := f.rigmesh(append([]string{"run"}, c.args...)...)
		if code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("run %q: %d, %s", c.args, code, stderr)
		}
	}
}

func TestAJobThatEndsBeforeItIsThereSaysWhy(t *testing.T) {
	f := startFakeNode(t)
	f.events = []*leasev1.JobEvent{endEvent(leasev1.Outcome_OUTCOME_NO_BID, nil)}
	if _, stderr, code := f.rigmesh("run", "-i", image(t), "sh"); code != exitOurs || stderr == "" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestJobsAreForgottenAtTheirEndOrLater(t *testing.T) {
	f := startFakeNode(t)
	f.events = []*leasev1.JobEvent{bidEvent(300_000), leaseEvent(), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 3})}
	if _, stderr, code := f.rigmesh("run", "--rm", image(t), "prog"); code != 3 {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if _, stderr, code := f.rigmesh("rm", "3f2a"); code != 0 {
		t.Errorf("rm: %d, %s", code, stderr)
	}
	if diff := cmp.Diff([]string{fakeJob, "3f2a"}, f.forgotten); diff != "" {
		t.Error(diff)
	}
	if _, stderr, code := f.rigmesh("rm", "3f2alive"); code != 1 || !strings.Contains(stderr, "hint: rigmesh stop") {
		t.Errorf("rm of one that runs: %d, %s", code, stderr)
	}
	if _, stderr, code := f.rigmesh("run", "--rm", "-d", image(t), "prog"); code != 2 || !strings.Contains(stderr, "rigmesh rm JOB") {
		t.Errorf("run --rm -d: %d, %s", code, stderr)
	}
}
