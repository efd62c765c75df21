//go:build linux

package containerd

import (
	"os"
	"testing"

	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

func TestACodeThatTheInitCouldNotRecordIsTheJobsStill(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		code int
		lost bool
	}{{0, false}, {7, false}, {127, false}, {2, true}, {125, true}} {
		release := h.gated(t, "task", c.code)
		// In the way of the record, as a full disk is.
		if err := os.Mkdir(h.paths.output("task", record.ExitFile)+".tmp", 0o700); err != nil {
			t.Fatal(err)
		}
		release()
		want := c.code
		if c.lost { // the init may have failed so itself
			want = 125
		}
		if exit := h.end(t, "task"); exit.Code != want || exit.Lost != c.lost || (exit.Error != "") != c.lost || exit.Started.IsZero() || exit.Ended.Before(exit.Started) {
			t.Errorf("a job that exits with %d: %+v", c.code, exit)
		}
		if err := h.Remove(t.Context(), "task"); err != nil {
			t.Fatal(err)
		}
	}
}
