package fault

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func record(t *testing.T, kind leasev1.JournalKind) journal.Record {
	t.Helper()
	b, err := proto.Marshal(&leasev1.JournalEvent{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	return journal.Record{Key: "k", Kind: "worker.event", At: time.Unix(1, 0), Event: b}
}

func TestAStepIsReadAsItIsWritten(t *testing.T) {
	for stage := range stages {
		want := Step{Record: "worker.event:acked", Nth: 2, Stage: stage}
		if got, err := ParseStep(want.String()); err != nil || got != want {
			t.Errorf("%s: %v, %v", want, got, err)
		}
	}
	for _, text := range []string{"", "a", "a/synced", "a#0/synced", "a#x/synced", "a#1/never", "#1/synced"} {
		if s, err := ParseStep(text); err == nil {
			t.Errorf("%q is read as %v", text, s)
		}
	}
}

func TestEachRecordGoesThroughItsStages(t *testing.T) {
	var seen []string
	j, err := journal.OpenFS(Watch(journal.NewMemory(), func(s Step) error {
		seen = append(seen, s.String())
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []journal.Record{
		{Key: "k", Kind: "worker.award", At: time.Unix(1, 0)},
		record(t, leasev1.JournalKind_JOURNAL_KIND_ACKED),
		record(t, leasev1.JournalKind_JOURNAL_KIND_ACKED),
	} {
		if err := j.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"worker.award#1/before", "worker.award#1/written", "worker.award#1/synced", "worker.award#1/committed",
		"worker.event:acked#1/before", "worker.event:acked#1/written", "worker.event:acked#1/synced", "worker.event:acked#1/committed",
		"worker.event:acked#2/before", "worker.event:acked#2/written", "worker.event:acked#2/synced", "worker.event:acked#2/committed",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("steps %v", seen)
	}
}

func TestWhatEndedAtAStepStaysEnded(t *testing.T) {
	ended := errors.New("ended")
	disk := journal.NewMemory()
	calls := 0
	j, err := journal.OpenFS(Watch(disk, func(s Step) error {
		if calls++; s.Stage == Written {
			return ended
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := j.Append(record(t, leasev1.JournalKind_JOURNAL_KIND_TICK)); !errors.Is(err, ended) {
			t.Errorf("append: %v", err)
		}
	}
	if calls != 2 {
		t.Errorf("asked %d times, want 2: before and written", calls)
	}
	if left, err := journal.OpenFS(disk); err != nil || left.Records() > 1 {
		t.Errorf("%v records, %v", left, err)
	}
}

// A process that ends without a sync has written nothing; one that spills has written some of it.
func TestVolatileFilesLoseWhatWasNotSynced(t *testing.T) {
	kept := map[uint64]int{}
	for seed := range uint64(40) {
		dir := t.TempDir()
		under, err := journal.Dir(dir)
		if err != nil {
			t.Fatal(err)
		}
		volatile := NewVolatile(under)
		var spill error
		j, err := journal.OpenFS(Watch(volatile, func(s Step) error {
			if s.Nth == 3 && s.Stage == Written {
				spill = volatile.Spill(rand.New(rand.NewPCG(seed, 0)))
				return errors.New("the power is gone")
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := j.Append(record(t, leasev1.JournalKind_JOURNAL_KIND_TICK)); (err == nil) != (i < 2) {
				t.Fatalf("record %d: %v", i, err)
			}
		}
		again, err := journal.Open(dir)
		if err != nil || spill != nil {
			t.Fatalf("seed %d: %v, %v", seed, err, spill)
		}
		kept[again.Records()]++
	}
	if kept[2] == 0 || kept[3] == 0 || kept[2]+kept[3] != 40 {
		t.Errorf("records kept, and how often: %v; want 2 or 3, both at times", kept)
	}
}
