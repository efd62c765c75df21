package requester

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func TestAReceiptWaitsForRoomOnTheDiskAndTheEndOfItsJobWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, withOutput(price))
		began := time.Now()
		b.kept.fail = func() error {
			if time.Since(began) < time.Hour {
				return fmt.Errorf("write: %w", syscall.ENOSPC)
			}
			return nil
		}
		b.start()
		defer b.stop()
		events, end := b.run(b.withOutput())
		if end.Outcome != leasev1.Outcome_OUTCOME_EXITED || len(end.Outputs) != 1 || len(b.kept.kept) != 1 {
			t.Errorf("ended %v with receipts %v", end, b.kept.kept)
		}
		told := 0
		for _, e := range events {
			if strings.Contains(e.GetTrouble().GetSentence(), "the receipt waits until there is room") {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told %d times of it: %v", told, events)
		}
	})
}

func TestAReceiptThatFoundNoRoomIsKeptAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, withOutput(price))
		b.kept.fail = func() error { return syscall.ENOSPC }
		b.start()
		id := b.submit(b.withOutput())
		time.Sleep(time.Minute)
		b.stop()
		b.kept.fail = nil
		b.start()
		defer b.stop()
		_, end := b.events(id)
		if end.Outcome != leasev1.Outcome_OUTCOME_EXITED || len(end.Outputs) != 1 || len(b.kept.kept) != 1 || b.stdout(id) != "hello\n" {
			t.Errorf("ended %v with receipts %v", end, b.kept.kept)
		}
	})
}
