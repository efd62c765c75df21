//go:build linux

package main

import (
	"testing"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// A follower that is slow hears of the last of several phases at once.
func TestThePartsOfAJobAreThoseThatWereTold(t *testing.T) {
	at := func(ms int64, p leasev1.Phase) *leasev1.JobEvent {
		return &leasev1.JobEvent{AtMs: ms, Event: &leasev1.JobEvent_Progress{Progress: &leasev1.Progress{Phase: p}}}
	}
	var p parts
	p.add(outcome{
		leased: 10 * time.Millisecond, known: 100 * time.Millisecond, cleaned: 107 * time.Millisecond,
		events: []*leasev1.JobEvent{
			{AtMs: 1000, Event: &leasev1.JobEvent_Lease{Lease: &leasev1.LeaseSigned{}}},
			at(1005, leasev1.Phase_PHASE_STARTING), at(1080, leasev1.Phase_PHASE_COLLECTING),
		},
	})
	if p.ready.median() != 5 || p.closed.median() != 10 || p.rest.median() != 7 {
		t.Errorf("parts %+v", p)
	}
	if len(p.start)+len(p.task) > 0 || len(p.rows()) != 3 {
		t.Errorf("parts that were not told: %+v", p)
	}
}
