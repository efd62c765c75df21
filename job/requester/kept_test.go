package requester

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
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

func TestOutputsThatTakeLongerThanTheLeaseMayBeSilentStillCome(t *testing.T) {
	for name, c := range map[string]struct {
		then func(*bench, slow, string)
		want leasev1.Outcome
	}{
		"they come":     {func(_ *bench, c slow, _ string) { close(c.let) }, leasev1.Outcome_OUTCOME_EXITED},
		"never":         {func(*bench, slow, string) {}, leasev1.Outcome_OUTCOME_LAPSED},
		"it is stopped": {func(b *bench, _ slow, id string) { _ = b.Stop(b.t.Context(), id, 0, false) }, leasev1.Outcome_OUTCOME_STOPPED},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := withOutput(price)
				w.exit = &leasev1.Exit{Code: 3}
				m, err := w.blobs.Manifest(t.Context(), nil, w.outputs[0].Manifest)
				if err != nil {
					t.Fatal(err)
				}
				b := newBench(t, w)
				b.start()
				defer b.stop()
				held := slow{b.store, m.Entries[0].Digest, make(chan struct{})}
				b.Content = held
				sub := b.withOutput()
				sub.Retries = 3
				id := b.submit(sub)
				time.Sleep(20 * time.Minute) // the lease lapses after a minute
				if v := b.Jobs()[0]; !v.Live {
					t.Fatalf("it has ended: %v", v)
				}
				c.then(b, held, id)
				_, end := b.events(id)
				here := len(end.Outputs) == 1
				if end.Outcome != c.want || here != (c.want == leasev1.Outcome_OUTCOME_EXITED) || len(w.awards) != 1 {
					t.Errorf("ended %v after %d awards", end, len(w.awards))
				}
				if c.want != leasev1.Outcome_OUTCOME_STOPPED && end.Exit.GetCode() != 3 {
					t.Errorf("exit %v", end.Exit)
				}
			})
		})
	}
}
