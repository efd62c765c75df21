package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/job/session"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// fakeAttach is the fake job's own program: it reads to the end, shows a little on its
// terminal if it has one, and ends.
func (f *fakeNode) fakeAttach(link *session.PipeEnd, start *leasev1.ExecStart) {
	end := &leasev1.ExecEnded{TaskEnded: true}
	for start.Stdin {
		var in leasev1.ExecFrame
		if link.Recv(&in) != nil || in.GetStdinEnd() != nil {
			break
		}
		f.typed += string(in.GetStdin())
	}
	if start.Terminal != nil {
		_ = link.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Earlier{Earlier: []byte("before ")}})
		_ = link.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Stdout{Stdout: []byte("after")}})
	}
	f.stops <- false
	_ = link.Send(&leasev1.ExecReply{Reply: &leasev1.ExecReply_Ended{Ended: end}})
}

func TestAJobIsGivenWhatComesOnStandardInput(t *testing.T) {
	f := startFakeNode(t)
	f.events = []*leasev1.JobEvent{bidEvent(300_000), leaseEvent(), phaseEvent(leasev1.Phase_PHASE_PULLING), phaseEvent(leasev1.Phase_PHASE_RUNNING), beatEvent(42_000, 3500)}
	f.stopped = []*leasev1.JobEvent{endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 5})}
	f.stdin, f.stdout = "typed\n", "printed\n"
	stdout, stderr, code := f.rigmesh("run", "-i", image(t))
	if code != 5 || stdout != "printed\n" || f.typed != "typed\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q, and the task read %q", code, stdout, stderr, f.typed)
	}
	if spec := f.submission.Spec; !spec.Stdin || spec.Terminal {
		t.Errorf("asked for %v", spec)
	}
}

func TestAJobHasTheTerminalFromItsFirstWordToItsLast(t *testing.T) {
	f := startFakeNode(t)
	running := []*leasev1.JobEvent{bidEvent(300_000), leaseEvent(), phaseEvent(leasev1.Phase_PHASE_RUNNING)}
	ended := []*leasev1.JobEvent{endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 6})}
	f.events, f.stopped, f.stdout = running, ended, "before after"
	if stdout, stderr, code := f.rigmesh("run", "-t", image(t), "top"); code != 6 || stdout != "before after" || !f.submission.Spec.Terminal {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if stdout, stderr, code := f.rigmesh("attach", "3f2a"); code != 6 || stdout != "before after" {
		t.Errorf("attach: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	f.events, f.stopped = ended, nil // over before anybody could look
	if stdout, stderr, code := f.rigmesh("attach", "3f2a"); code != 6 || stdout != "before after" {
		t.Errorf("attach too late: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestAJobThatIsWorkedInIsTypedWithATerminal(t *testing.T) {
	f := startFakeNode(t)
	if _, stderr, code := f.rigmesh("run", "-it", image(t), "sh"); code != 2 || !strings.Contains(stderr, "standard input is not a terminal") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if stdout, stderr, code := f.rigmesh("run", "-dit", image(t), "sh"); code != 0 || stdout != fakeJob+"\n" || !f.submission.Spec.Stdin || !f.submission.Spec.Terminal {
		t.Errorf("exit code %d, %q, %s", code, stdout, stderr)
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
