package worker_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestAReceiptWaitsForRoomOnTheDiskAndItsTaskDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		began := time.Now()
		b.kept.fail = func() error {
			if time.Since(began) < time.Hour {
				return fmt.Errorf("write: %w", syscall.ENOSPC)
			}
			return nil
		}
		b.start()
		defer b.stop()
		s, _ := running(b, nil, "exit 0")
		<-s.Done()
		time.Sleep(time.Minute)
		if all, _ := b.runtime.List(t.Context()); len(all) != 0 || b.kept.last() != nil {
			t.Errorf("left behind: %v; kept %v", all, b.kept.last())
		}
		time.Sleep(time.Hour)
		if b.kept.last() == nil || len(b.Leases()) != 0 {
			t.Errorf("kept %v; still there: %v", b.kept.last(), b.Leases())
		}
	})
}

func TestAReceiptThatCouldNotBeKeptIsKeptAfterARestart(t *testing.T) {
	for name, fail := range map[string]error{"no room": syscall.ENOSPC, "other trouble": syscall.EIO} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.kept.fail = func() error { return fail }
				b.start()
				s, _ := running(b, nil, "exit 7")
				<-s.Done()
				time.Sleep(time.Minute)
				b.stop()
				b.kept.fail = nil
				b.start()
				time.Sleep(time.Minute)
				if b.kept.last().GetClose() == nil || len(b.Leases()) != 0 {
					t.Errorf("kept %v; still there: %v", b.kept.last(), b.Leases())
				}
				b.stop()
				kept := len(b.kept.kept)
				b.start()
				defer b.stop()
				time.Sleep(time.Minute)
				if len(b.kept.kept) != kept {
					t.Error("kept again, though it had been")
				}
			})
		})
	}
}

func TestALeaseWhoseReceiptCanNeverBeKeptIsDoneWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.kept.fail = func() error { return errors.New("it does not verify") }
		b.start()
		defer b.stop()
		s, _ := running(b, nil, "exit 0")
		<-s.Done()
		time.Sleep(time.Minute)
		if len(b.Leases()) != 0 {
			t.Errorf("still there: %v", b.Leases())
		}
	})
}
