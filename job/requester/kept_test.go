package requester

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/runtime"
)

// slow is a store into which one blob does not come before it is let.
type slow struct {
	store
	file string
	let  chan struct{}
}

func (s slow) Fetch(ctx context.Context, src runtime.BlobSource, digest string, limit int64) error {
	if digest == s.file {
		select {
		case <-s.let:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.store.Fetch(ctx, src, digest, limit)
}

func TestWhatIsBroughtOfAFolderIsHeldUntilAllOfItIsHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withOutput(price)
		manifest := w.outputs[0].Manifest
		m, err := w.blobs.Manifest(t.Context(), nil, manifest)
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, w)
		b.start()
		defer b.stop()
		c := slow{b.store, m.Entries[0].Digest, make(chan struct{})}
		b.Content = c
		id := b.submit(b.withOutput())
		time.Sleep(30 * time.Second)
		if !b.Holds(manifest) || !b.Holds(c.file) {
			t.Error("what is here of the folder is not held while the rest is fetched")
		}
		close(c.let)
		b.events(id)
	})
}

func TestOutputsStayForAWeekOrUntilTheirJobIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := withOutput(price)
		m, err := w.blobs.Manifest(t.Context(), nil, w.outputs[0].Manifest)
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, w)
		b.start()
		kept := func(when string, want bool) {
			t.Helper()
			all := b.KeptOutputs()
			if all[w.outputs[0].Manifest] != want || all[m.Entries[0].Digest] != want {
				t.Errorf("%s kept: %v; want %t", when, all, want)
			}
		}
		first := b.submit(b.withOutput())
		kept("before the end", false)
		b.events(first)
		synctest.Wait()
		kept("at the end", true)
		time.Sleep(3 * 24 * time.Hour)
		synctest.Wait()
		if len(b.runs) != 0 {
			t.Errorf("%d runs in memory", len(b.runs))
		}
		kept("after a weekend", true)
		b.stop()
		b.start()
		defer b.stop()
		kept("after a restart", true)
		if err := b.Forget(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		kept("forgotten", false)
		b.events(b.submit(b.withOutput()))
		time.Sleep(KeepOutputs - time.Hour)
		kept("after six days", true)
		time.Sleep(2 * time.Hour)
		kept("after a week", false)
	})
}
