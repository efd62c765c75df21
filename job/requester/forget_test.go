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
