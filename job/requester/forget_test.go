package requester

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestAForgottenJobLeavesItsReceiptAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, ran: time.Minute, stdout: "hello\n"})
		b.start()
		id := b.submit(b.submission())
		time.Sleep(20 * time.Second)
		is(t, b.Forget(t.Context(), id), ErrLive)
		b.events(id)
		if err := b.Forget(t.Context(), id[:8]); err != nil {
			t.Fatal(err)
		}
		gone := func() {
			t.Helper()
			_, err := b.find(id)
			is(t, err, ErrNoJob)
			if len(b.Jobs()) != 0 {
				t.Errorf("still listed: %v", b.Jobs())
			}
			time.Sleep(time.Hour) // its worker has our last word
			synctest.Wait()
			if len(b.runs) != 0 || len(b.remnants) != 0 {
				t.Errorf("%d jobs and %d remnants are in memory", len(b.runs), len(b.remnants))
			}
			if _, err := os.Stat(filepath.Join(b.Dir, id)); err == nil {
				t.Error("its output is still there")
			}
		}
		gone()
		b.stop()
		b.start()
		defer b.stop()
		gone()
		if len(b.kept.kept) != 1 {
			t.Errorf("%d receipts", len(b.kept.kept))
		}
	})
}

func TestWhatIsLeftOfAJobGoesAtOnceWhenItIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, ran: time.Minute})
		b.start()
		defer b.stop()
		sub := b.submission()
		first, _ := b.submit(sub), b.submit(sub)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(b.remnants) != 2 {
			t.Fatalf("%d remnants of two jobs", len(b.remnants))
		}
		if err := b.Forget(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if all := b.Jobs(); len(b.remnants) != 1 || len(all) != 1 || all[0].ID.String() == first {
			t.Errorf("%d remnants; listed %v", len(b.remnants), all)
		}
		is(t, b.Forget(t.Context(), first), ErrNoJob)
	})
}

func TestOfAJobThatEndedLongAgoARestartHoldsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, &rig{price: price, ran: time.Minute})
		b.start()
		defer b.stop()
		id := b.submit(b.submission())
		b.events(id)
		for _, c := range []struct {
			later time.Duration
			lives bool // its worker may still wait for our signature
		}{{0, true}, {time.Hour, false}} {
			time.Sleep(c.later)
			jobs, _, err := b.collect(b.journal.Replay)
			if err != nil {
				t.Fatal(err)
			}
			h := jobs[id]
			if lives := h.leased != nil; lives != c.lives || len(h.events) > 0 != c.lives || h.past == nil || h.past.beats == 0 {
				t.Errorf("%s after the end: lease %t, %d events, %+v", c.later, lives, len(h.events), h.past)
			}
		}
	})
}
