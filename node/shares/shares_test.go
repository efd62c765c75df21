package shares

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

type bench struct {
	*Shares
	file  string
	now   time.Time
	blobs map[string][]string
}

func newBench(t *testing.T) *bench {
	b := &bench{
		file: filepath.Join(t.TempDir(), "shares.json"), now: time.Unix(1_700_000_000, 0),
		blobs: map[string][]string{"sha256:aa1": {"sha256:aa1", "sha256:f1"}, "sha256:aa2": {"sha256:aa2", "sha256:f2"}},
	}
	b.reopen()
	return b
}

func (b *bench) reopen() {
	b.Shares = Open(Config{
		File: b.file, Now: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler),
		Digests: func(manifest string) ([]string, error) {
			if all := b.blobs[manifest]; all != nil {
				return all, nil
			}
			return nil, errors.New("not here")
		},
	})
}

func (b *bench) add(t *testing.T, manifest string, until time.Time) {
	t.Helper()
	if err := b.Add(Share{Manifest: manifest, Name: "data", Until: until}); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsSharedOutlivesTheProcessUntilItsTimeIsUp(t *testing.T) {
	b := newBench(t)
	b.add(t, "sha256:aa1", b.now.Add(time.Hour))
	b.add(t, "sha256:aa2", time.Time{})
	b.reopen()
	for _, digest := range []string{"sha256:aa1", "sha256:f1", "sha256:aa2", "sha256:f2"} {
		if !b.Has(digest) {
			t.Errorf("%s is not shared", digest)
		}
	}
	b.now = b.now.Add(time.Hour)
	if b.Has("sha256:f1") || !b.Has("sha256:f2") || len(b.List()) != 1 {
		t.Errorf("after an hour %v is shared", b.List())
	}
	if b.Has("sha256:other") {
		t.Error("something else is shared")
	}
}

func TestWhatIsNoLongerHereIsNotSharedAfterARestart(t *testing.T) {
	b := newBench(t)
	b.add(t, "sha256:aa1", time.Time{})
	delete(b.blobs, "sha256:aa1")
	b.reopen()
	if len(b.List()) != 0 {
		t.Errorf("%v", b.List())
	}
	if err := b.Add(Share{Manifest: "sha256:aa1"}); err == nil {
		t.Error("it can be shared")
	}
}

func TestSharingAgainChangesTheEnd(t *testing.T) {
	b := newBench(t)
	b.add(t, "sha256:aa1", time.Time{})
	b.add(t, "sha256:aa1", b.now.Add(time.Minute))
	if all := b.List(); len(all) != 1 || all[0].Until.IsZero() {
		t.Errorf("%v", all)
	}
}

func TestATakenBackShareIsNamedByItsBeginning(t *testing.T) {
	b := newBench(t)
	b.add(t, "sha256:aa1", time.Time{})
	b.add(t, "sha256:aa2", time.Time{})
	for beginning, want := range map[string]error{"aa": ErrAmbiguous, "sha256:aa": ErrAmbiguous, "b": ErrNone, "": ErrNone} {
		if _, err := b.Remove(beginning); !errors.Is(err, want) {
			t.Errorf("remove %q: %v", beginning, err)
		}
	}
	if s, err := b.Remove("aa1"); err != nil || s.Manifest != "sha256:aa1" || b.Has("sha256:f1") {
		t.Errorf("%v, %v", s, err)
	}
	b.reopen()
	if len(b.List()) != 1 {
		t.Errorf("%v", b.List())
	}
}

func TestSoManyAreSharedAndNoMore(t *testing.T) {
	b := newBench(t)
	for i := range Most + 1 {
		digest := fmt.Sprintf("sha256:%02x", i)
		b.blobs[digest] = []string{digest}
		if err := b.Add(Share{Manifest: digest}); errors.Is(err, ErrTooMany) != (i == Most) {
			t.Fatalf("share %d: %v", i, err)
		}
	}
}

func TestWhatCannotBeWrittenDownIsNotShared(t *testing.T) {
	b := newBench(t)
	if err := os.Mkdir(b.file, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(Share{Manifest: "sha256:aa1"}); err == nil || b.Has("sha256:aa1") {
		t.Errorf("%v; shared: %v", err, b.Has("sha256:aa1"))
	}
}

func TestAChangeIsToldOf(t *testing.T) {
	b := newBench(t)
	b.add(t, "sha256:aa1", time.Time{})
	select {
	case <-b.Changed():
	default:
		t.Error("nothing is told")
	}
}
