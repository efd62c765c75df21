package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/node/control"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Freeze does as it is told, unless the job has ended.
func (f *fakeNode) Freeze(_ context.Context, id string, frozen bool) (leasev1.Phase, error) {
	if f.stdout == "over" {
		return 0, fmt.Errorf("%w: the task of job %s has ended", control.ErrNoTask, id)
	}
	if frozen {
		return leasev1.Phase_PHASE_FROZEN, f.find(id)
	}
	return leasev1.Phase_PHASE_RUNNING, f.find(id)
}

func TestFreezeAndThawSayHowTheTaskStands(t *testing.T) {
	f := startFakeNode(t)
	for name, want := range map[string]string{"freeze": "the task stands still; its lease goes on, and is paid for\n", "thaw": "the task goes on\n"} {
		if stdout, stderr, code := f.rigmesh(name, "3f2a"); stdout != want || code != 0 {
			t.Errorf("%s: %d, %q, %s", name, code, stdout, stderr)
		}
		if _, stderr, code := f.rigmesh(name, "77aa"); code != 1 || !strings.Contains(stderr, "not found") {
			t.Errorf("%s of no job: %d, %s", name, code, stderr)
		}
	}
	f.stdout = "over"
	if _, stderr, code := f.rigmesh("freeze", "3f2a"); code != 1 || !strings.Contains(stderr, "has ended\nrigmesh: hint: ") {
		t.Errorf("of a job that has ended: %d, %s", code, stderr)
	}
	if got := stillSentence(false, leasev1.Phase_PHASE_FROZEN); !strings.Contains(got, "a reason of its own") {
		t.Errorf("thawed what its worker holds: %q", got)
	}
}
