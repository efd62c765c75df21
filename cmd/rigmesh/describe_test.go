package main

import (
	"encoding/json"
	"strings"
	"testing"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestDescribeTellsWhatIsKnownOfAJob(t *testing.T) {
	f := startFakeNode(t)
	f.jobs = []*controlv1.Job{
		{JobId: fakeJob, Role: "worker", State: "running, running"},
		{JobId: fakeJob, Role: "requester", State: "running", PeerId: fakePeer, LeaseId: fakeLease, Beats: 3, CreditMs: 90_000, Amount: 1_500_000},
	}
	f.submission = &leasev1.Submission{MaxPrice: 500_000, Spec: &marketv1.Spec{
		Name: "tune\x1b[2J", Image: &marketv1.Image{Name: "alpine:3.20", Digest: "sha256:abc"},
		Command: []string{"sh", "-c", "echo hi"}, Env: []string{"TOKEN=secret"},
		Resources: &marketv1.Resources{CpuMillis: 1500, MemoryBytes: 2 << 30, Pids: 64},
		Inputs:    []*marketv1.Input{{Path: "/data", TotalBytes: 3 << 20}}, Outputs: []string{"/out"},
		Egress: &marketv1.Egress{Hosts: []string{"pypi.org"}},
	}}
	f.events = []*leasev1.JobEvent{
		bidEvent(250_000), leaseEvent(), phaseEvent(leasev1.Phase_PHASE_RUNNING), phaseEvent(leasev1.Phase_PHASE_RUNNING), beatEvent(1000, 1),
		{Event: &leasev1.JobEvent_Trouble{Trouble: &leasev1.Trouble{Sentence: "the stream broke"}}},
	}
	stdout, stderr, code := f.rigmesh("describe", "3f2a")
	if code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	for _, want := range []string{
		fakeJob, fakePeer, fakeLease, "alpine:3.20", "sha256:abc", `sh -c "echo hi"`, "TOKEN", "at most 0.50 credits per GPU-hour",
		"1.5 cores, 2 GiB memory, 64 processes", "/data, 3 MiB", "/out", "pypi.org", "1m30s in 3 heartbeats, 1.50 credits",
		"bid of eWorker1: 0.25", "leased from eWorker1 at 0.30", "the stream broke",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "secret") || strings.Contains(stdout, "\x1b") {
		t.Errorf("a secret or a control character in\n%q", stdout)
	}
	if n := strings.Count(stdout, phases[leasev1.Phase_PHASE_RUNNING]); n != 2 { // the state, and the phase once
		t.Errorf("running is told %d times in\n%s", n, stdout)
	}
}

func TestDescribeAsJSONHasTheWholeSubmission(t *testing.T) {
	f := startFakeNode(t)
	f.jobs = []*controlv1.Job{{JobId: fakeJob, Role: "requester", State: "ended", Exit: &leasev1.Exit{Code: 42}}}
	f.submission = &leasev1.Submission{Spec: &marketv1.Spec{Env: []string{"TOKEN=secret"}}}
	f.events = []*leasev1.JobEvent{leaseEvent()}
	stdout, stderr, code := f.rigmesh("describe", "--json", "3f2a")
	var got struct {
		Job        string
		Exit       int
		Submission struct{ Spec struct{ Env []string } }
		Events     []struct {
			Lease struct {
				LeaseID string `json:"lease_id"`
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v, %s%s", code, err, stdout, stderr)
	}
	if got.Job != fakeJob || got.Exit != 42 || got.Submission.Spec.Env[0] != "TOKEN=secret" || got.Events[0].Lease.LeaseID != fakeLease {
		t.Errorf("got %+v", got)
	}
	if _, stderr, code := f.rigmesh("describe", "beef"); code != 1 || !strings.Contains(stderr, "rigmesh ps --all") {
		t.Errorf("an unknown job: exit code %d, %s", code, stderr)
	}
}
