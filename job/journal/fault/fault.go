// Package fault breaks a journal on purpose, at steps that have names.
//
// Every durable step of a lease is one record of the journal, so a node can be
// ended before and after each of them by a file layer that watches the records go
// by. Tests hand such a layer to a node in the same process; a binary built with
// the tag failpoints takes one from its environment, and a release has none.
package fault

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Stage is how far a record has come.
type Stage uint8

// The stages, in their order.
const (
	Before    Stage = iota // nothing of it is written
	Written                // in the log, and not synced
	Synced                 // the log is synced; the head does not know of it
	Committed              // durable, and nothing was done about it
	stages
)

var stageNames = [stages]string{"before", "written", "synced", "committed"}

// String is the stage in one word.
func (s Stage) String() string {
	if s < stages {
		return stageNames[s]
	}
	return fmt.Sprintf("stage(%d)", uint8(s))
}

// Step is one stage of one record.
type Step struct {
	Record string // of Name
	Nth    int    // of that name in this process, from 1
	Stage  Stage
}

// String is how a step is written: "worker.event:acked#2/synced".
func (s Step) String() string { return fmt.Sprintf("%s#%d/%s", s.Record, s.Nth, s.Stage) }

// ParseStep reads what String wrote.
func ParseStep(text string) (Step, error) {
	var s Step
	name, stage, ok := strings.Cut(text, "/")
	record, nth, numbered := strings.Cut(name, "#")
	if !ok || !numbered || record == "" {
		return s, fmt.Errorf("step %q: want RECORD#N/STAGE, as worker.event:acked#2/synced", text)
	}
	if _, err := fmt.Sscan(nth, &s.Nth); err != nil || s.Nth < 1 {
		return s, fmt.Errorf("step %q: %q is no number from 1 on", text, nth)
	}
	for s.Stage = range stages {
		if s.Stage.String() == stage {
			s.Record = record
			return s, nil
		}
	}
	return s, fmt.Errorf("step %q: the stages are %s", text, strings.Join(stageNames[:], ", "))
}

// Name names a record: its kind, and for an event of a lease which one.
func Name(r journal.Record) string {
	if !strings.HasSuffix(r.Kind, ".event") {
		return r.Kind
	}
	var ev leasev1.JournalEvent
	if proto.Unmarshal(r.Event, &ev) != nil {
		return r.Kind
	}
	return r.Kind + ":" + strings.ToLower(strings.TrimPrefix(ev.Kind.String(), "JOURNAL_KIND_"))
}
