package journal

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestInsistWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		j := mustOpen(t, m)
		began := time.Now()
		m.Fail = func(op, name string) error {
			if op == "write" && name == logName && time.Since(began) < time.Minute {
				return syscall.ENOSPC
			}
			return nil
		}
		told := 0
		if err := Insist(t.Context(), j, note(1), func(error) { told++ }); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < time.Minute || waited > time.Minute+roomEvery || told != 1 {
			t.Errorf("waited %s, told %d times", waited, told)
		}
		if got := replayed(t, mustOpen(t, m)); len(got) != 1 {
			t.Errorf("%d records", len(got))
		}
	})
}

func TestInsistGivesUpWithItsContextAndOnAnyOtherTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		j := mustOpen(t, m)
		m.Fail = func(op, name string) error {
			if op == "write" && name == logName {
				return syscall.ENOSPC
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := Insist(ctx, j, note(1), func(error) {}); !errors.Is(err, ErrFull) {
			t.Errorf("a full disk: %v", err)
		}
		m = NewMemory()
		j = mustOpen(t, m)
		m.Fail = func(op, _ string) error {
			if op == "sync" {
				return syscall.EIO
			}
			return nil
		}
		if err := Insist(t.Context(), j, note(1), func(error) { t.Error("it waits") }); !errors.Is(err, ErrFailed) {
			t.Errorf("a broken disk: %v", err)
		}
		select {
		case <-j.Broken():
		default:
			t.Error("the journal does not say that it is broken")
		}
	})
}
