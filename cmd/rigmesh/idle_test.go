package main

import (
	"testing"
	"time"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

func TestAnOwnerIsToldWhyDevicesAreIdle(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	lost := []*controlv1.HeardJob{
		{AtMs: now.Add(-time.Minute).UnixMilli(), Outcome: controlv1.HeardOutcome_HEARD_OUTCOME_LOST, WinningPrice: 310_000},
		{AtMs: now.Add(-2 * time.Hour).UnixMilli(), Outcome: controlv1.HeardOutcome_HEARD_OUTCOME_WON},
	}
	for _, c := range []struct {
		want string
		w    *controlv1.ExplainWorkerResponse
	}{
		{"there is no device to lend: rigmesh status and rigmesh doctor say why", &controlv1.ExplainWorkerResponse{}},
		{"nothing is lent at the moment: rigmesh status says why", &controlv1.ExplainWorkerResponse{Devices: 2, WithheldDevices: 2}},
		{"busy: every device that is lent is leased", &controlv1.ExplainWorkerResponse{Devices: 2, Leases: 1}},
		{"busy: every device that is lent is leased; 1 of 2 not lent at the moment: rigmesh status says why",
			&controlv1.ExplainWorkerResponse{Devices: 2, Leases: 1, WithheldDevices: 1}},
		{"1 device of 2 idle because of 1 job heard in the last hour 1 went to others (at most 0.31)",
			&controlv1.ExplainWorkerResponse{Devices: 2, FreeDevices: 1, Leases: 1, Heard: lost}},
		{"1 device of 2 idle because no job was heard of in the last hour; 1 of 2 not lent at the moment: rigmesh status says why",
			&controlv1.ExplainWorkerResponse{Devices: 2, FreeDevices: 1, WithheldDevices: 1}},
	} {
		if got := idle(c.w, now); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
