package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// lost is an output whose manifest the node has no more.
func lost(path string) *leasev1.Output {
	return &leasev1.Output{Path: path, Manifest: "sha256:" + strings.Repeat("ab", 32), TotalBytes: 6}
}

func TestAJobWhoseOutputsAreNotHereIsNotForgotten(t *testing.T) {
	f := startFakeNode(t)
	out := filepath.Join(t.TempDir(), "out")
	f.events = []*leasev1.JobEvent{leaseEvent(), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{}, lost("/out"))}
	_, stderr, code := f.rigmesh("run", "--rm", "-o", "/out:"+out, image(t), "prog")
	if code != exitOurs || !strings.Contains(stderr, "attach -o") || len(f.forgotten) != 0 {
		t.Errorf("exit code %d, forgotten %v: %s", code, f.forgotten, stderr)
	}
}

func TestAJobWhoseOutputWasNotWrittenDownIsNotForgotten(t *testing.T) {
	f := startFakeNode(t)
	f.stdout = "hello\n"
	f.events = []*leasev1.JobEvent{leaseEvent(), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{})}
	var errs bytes.Buffer
	k := console{in: strings.NewReader(""), out: full{}, err: &errs, getenv: func(string) string { return "" }}
	err := run(context.Background(), k, []string{"rigmesh", "--data", f.dir, "run", "--rm", image(t), "prog"})
	if code := exitCode(&errs, err); code != exitOurs || len(f.forgotten) != 0 {
		t.Errorf("exit code %d, forgotten %v: %s", code, f.forgotten, errs.String())
	}
}

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAnOutputThatTheWorkerCouldNotCollectIsAFailure(t *testing.T) {
	const why = "output not fetched: /out: the worker could not collect it"
	for name, c := range map[string]struct {
		outcome leasev1.Outcome
		exit    *leasev1.Exit
		code    int
		says    string
	}{
		"a task that did well":     {leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{}, exitOurs, why},
		"a task with its own code": {leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 7}, 7, why},
		"a task that was stopped":  {leasev1.Outcome_OUTCOME_STOPPED, &leasev1.Exit{Code: 143}, 143, why},
		"a task out of time":       {leasev1.Outcome_OUTCOME_TIMEOUT, &leasev1.Exit{Code: 143}, exitTimeout, why},
		"a task that never ran":    {leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{Code: 127, Error: "no such program"}, 127, ""},
		"a job that was given up":  {leasev1.Outcome_OUTCOME_STOPPED, nil, exitInterrupted, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFakeNode(t)
			end := endEvent(c.outcome, c.exit)
			end.GetEnded().Sentence = why
			f.events = []*leasev1.JobEvent{leaseEvent(), end}
			_, stderr, code := f.rigmesh("run", "-q", "--rm", "-o", "/out:"+filepath.Join(t.TempDir(), "out"), image(t), "prog")
			if code != c.code || (c.says == "") != (stderr == "") || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d, want %d: %q", code, c.code, stderr)
			}
			if (c.says == "") != (len(f.forgotten) == 1) {
				t.Errorf("forgotten: %v", f.forgotten)
			}
		})
	}
}

func TestAnOutputThatNobodyAskedForIsRefusedBeforeTheJobIsLookedAt(t *testing.T) {
	f := startFakeNode(t)
	f.submission = &leasev1.Submission{Spec: &marketv1.Spec{Outputs: []string{"/out", "/log"}}}
	f.events = []*leasev1.JobEvent{leaseEvent(), endEvent(leasev1.Outcome_OUTCOME_EXITED, &leasev1.Exit{}, f.output(t, "/out", "x", "new"))}
	stdout, stderr, code := f.rigmesh("attach", "-o", "/etc:"+filepath.Join(t.TempDir(), "etc"), "3f2a")
	if code != exitOurs || !strings.Contains(stderr, "the job has no output /etc; it has /out, /log") || stdout != "" {
		t.Errorf("exit code %d, %q, %s", code, stdout, stderr)
	}
	if _, stderr, code := f.rigmesh("attach", "-o", "/out:"+filepath.Join(t.TempDir(), "out"), "3f2a"); code != 0 {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
