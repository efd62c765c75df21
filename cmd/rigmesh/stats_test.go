package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Stats are of a job that keeps two cards busy, one of which says little. Of a job whose id
// begins with 9 the worker is away.
func (f *fakeNode) Stats(_ context.Context, id string) (*leasev1.TaskStats, error) {
	if strings.HasPrefix(id, "9") {
		return nil, fmt.Errorf("%w: it is away", control.ErrCut)
	}
	return &leasev1.TaskStats{
		Phase: leasev1.Phase_PHASE_RUNNING, CpuMillis: 1520, CpuLimitMillis: 4000, CpuMs: 60_000, MemoryBytes: 3 << 30, MemoryLimitBytes: 8 << 30,
		Pids: 12, PidsLimit: 512, DiskBytes: 1 << 30, DiskLimitBytes: 10 << 30, Files: 7, FilesLimit: 1000, ReadBytes: 5 << 20, WrittenBytes: 1 << 20,
		Devices: []*leasev1.DeviceStats{
			{Model: "rtx-4090", ReadMs: 1, Utilization: 97, MemoryBytes: 20 << 30, VramBytes: 24 << 30, PowerMw: 400_400, Temperature: 61},
			{Model: "rtx-4090", ReadMs: 1, Utilization: 3, MemoryBytes: 1 << 30, VramBytes: 24 << 30, Temperature: 40, Lacks: uint32(gpu.ReadPower)},
		},
	}, f.find(id)
}

func TestStatsShowsWhatTasksUse(t *testing.T) {
	f := startFakeNode(t)
	f.jobs = []*controlv1.Job{
		{JobId: fakeJob, Name: "train", Role: "requester", LeaseId: fakeLease},
		{JobId: "9" + fakeJob[1:], Role: "requester", LeaseId: fakeLease},
		{JobId: "5" + fakeJob[1:], Role: "requester"}, // searches
		{JobId: "6" + fakeJob[1:], Role: "worker", LeaseId: fakeLease},
	}
	want := `JOB       NAME   STATE      CPU     MEMORY       DISK          PIDS    READ    WRITTEN  GPU     VRAM           POWER  TEMP
3f2a9c00  train  running    1.52/4  3 GiB/8 GiB  1 GiB/10 GiB  12/512  5 MiB   1 MiB    97% 3%  21 GiB/48 GiB  -  61°C
9f2a9c00  -      no answer  -       -            -             -       -       -        -       -              -      -
`
	if stdout, stderr, code := f.rigmesh("stats"); code != 0 || strings.Join(strings.Fields(stdout), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("stats: %d, %s\n%s", code, stderr, cmp.Diff(want, stdout))
	}
	stdout, _, _ := f.rigmesh("stats", "--json", "3f2a")
	var views []statsView
	if err := json.Unmarshal([]byte(stdout), &views); err != nil || len(views) != 1 {
		t.Fatalf("%v: %s", err, stdout)
	}
	if v := views[0]; v.CPUMillis != 1520 || *v.Devices[0].PowerMW != 400_400 || v.Devices[1].PowerMW != nil || v.State != "running" {
		t.Errorf("%s", stdout)
	}
	if _, stderr, code := f.rigmesh("stats", "77aa"); code != 1 || !strings.Contains(stderr, "not found") {
		t.Errorf("of no job: %d, %s", code, stderr)
	}
}
