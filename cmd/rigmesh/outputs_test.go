package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
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
