package blob

import (
	"context"
	"os"
	"testing"
	"time"
)

func TestSweepRemovesOldBlobsThatNobodyWants(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put := func(text string, age time.Duration) string {
		digest, err := s.PutBytes(context.Background(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		name, _ := hexOf(digest)
		then := time.Now().Add(-age)
		if err := os.Chtimes(s.path(name), then, then); err != nil {
			t.Fatal(err)
		}
		return digest
	}
	old, fresh, wanted, touched := put("old", 3*time.Hour), put("fresh", 0), put("wanted", 3*time.Hour), put("touched", 3*time.Hour)
	if err := s.Touch(touched); err != nil {
		t.Fatal(err)
	}
	removed, err := s.Sweep(time.Hour, func(d string) bool { return d == wanted })
	if err != nil || removed != 1 {
		t.Fatalf("removed %d, %v; want 1", removed, err)
	}
	for digest, want := range map[string]bool{old: false, fresh: true, wanted: true, touched: true} {
		if s.Has(digest) != want {
			t.Errorf("blob %s here: %v, want %v", digest, !want, want)
		}
	}
}

func TestWhatIsWrittenOrWasJustUsedIsNotDiscarded(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	discard := func(digest string, since time.Time, want bool) {
		t.Helper()
		if gone, err := s.Discard(digest, since); gone != want || err != nil {
			t.Errorf("discarded: %v, %v; want %v", gone, err, want)
		}
	}
	whole, err := s.PutBytes(t.Context(), []byte("whole"))
	if err != nil {
		t.Fatal(err)
	}
	discard(whole, time.Now().Add(-time.Hour), false)
	part := Digest([]byte("a part"))
	w, err := s.Writer(t.Context(), part)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	discard(part, time.Now().Add(time.Hour), false)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if all, err := s.List(); err != nil || len(all) != 2 {
		t.Errorf("the store lists %v, %v", all, err)
	}
	for _, digest := range []string{whole, part} {
		discard(digest, time.Now().Add(time.Hour), true)
	}
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Errorf("the store still lists %v, %v", all, err)
	}
}

func TestWhatAFetchFindsHereIsSparedLikeWhatItBrings(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	digest, err := s.PutBytes(t.Context(), []byte("an input that is copied into the output"))
	if err != nil {
		t.Fatal(err)
	}
	name, _ := hexOf(digest)
	then := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(s.path(name), then, then); err != nil {
		t.Fatal(err)
	}
	if err := Fetch(t.Context(), nil, digest, s); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sweep(24*time.Hour, func(string) bool { return false }); err != nil || !s.Has(digest) {
		t.Errorf("it is gone: %v", err)
	}
}
