package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/p2p/blob"
)

func open(t testing.TB, dir string) *blob.Store {
	t.Helper()
	s, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// random is content that no two tests share.
func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func readAll(t testing.TB, src blob.Blobs, digest string, offset int64) []byte {
	t.Helper()
	r, err := src.Blob(t.Context(), digest, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStoreReturnsWhatWasPut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, n := range []int{0, 1, 300_000} {
		content := random(n)
		digest, err := s.PutBytes(t.Context(), content)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Has(digest) {
			t.Errorf("%d bytes: not there", n)
		}
		again := open(t, dir)
		if size, err := again.Size(digest); err != nil || size != int64(n) {
			t.Errorf("%d bytes: size %d, %v", n, size, err)
		}
		if got := readAll(t, again, digest, int64(n/2)); !bytes.Equal(got, content[n/2:]) {
			t.Errorf("%d bytes: the second half differs", n)
		}
		if _, err := s.Reader(digest, int64(n)+1); !errors.Is(err, blob.ErrRange) {
			t.Errorf("beyond the end: got %v, want ErrRange", err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "partial")); len(left) != 0 {
		t.Errorf("%d partial files are left", len(left))
	}
}

func TestStoreRefusesContentWithAnotherDigest(t *testing.T) {
	s := open(t, t.TempDir())
	digest := blob.Digest([]byte("wanted"))
	if err := s.Put(t.Context(), digest, strings.NewReader("other")); !errors.Is(err, blob.ErrDigest) {
		t.Errorf("got %v, want ErrDigest", err)
	}
	if s.Has(digest) {
		t.Error("it was kept")
	}
	if err := s.Put(t.Context(), digest, strings.NewReader("wanted")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestStoreNeverMakesAPathOfABadDigest(t *testing.T) {
	s := open(t, t.TempDir())
	for _, d := range []string{"", "sha256:", "sha256:../../../../etc/passwd", "sha512:" + strings.Repeat("a", 64),
		"sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("/", 64), "sha256:" + strings.Repeat("a", 65)} {
		if _, err := s.Reader(d, 0); !errors.Is(err, blob.ErrDigest) {
			t.Errorf("Reader(%q): got %v, want ErrDigest", d, err)
		}
		if _, err := s.Writer(t.Context(), d); !errors.Is(err, blob.ErrDigest) {
			t.Errorf("Writer(%q): got %v, want ErrDigest", d, err)
		}
		if err := s.Remove(d); !errors.Is(err, blob.ErrDigest) {
			t.Errorf("Remove(%q): got %v, want ErrDigest", d, err)
		}
	}
}

func TestAWriterContinuesWhereTheLastProcessStopped(t *testing.T) {
	dir := t.TempDir()
	content := random(100_000)
	digest := blob.Digest(content)
	w, err := open(t, dir).Writer(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content[:60_000]); err != nil {
		t.Fatal(err)
	}
	// The process ends here: nothing is closed.
	s := open(t, dir)
	if s.Has(digest) {
		t.Error("a part passes for the whole")
	}
	w, err = s.Writer(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.Offset() != 60_000 {
		t.Fatalf("offset %d, want 60000", w.Offset())
	}
	if _, err := w.Write(content[60_000:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, s, digest, 0); !bytes.Equal(got, content) {
		t.Error("content differs")
	}
}

func TestTwoWritersOfOneBlobTakeTurns(t *testing.T) {
	s := open(t, t.TempDir())
	content := random(1000)
	digest := blob.Digest(content)
	first, err := s.Writer(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Writer(ctx, digest); !errors.Is(err, context.Canceled) {
		t.Errorf("while the first writes: got %v, want context.Canceled", err)
	}
	second := make(chan error)
	go func() {
		_, err := s.Writer(context.Background(), digest)
		second <- err
	}()
	if _, err := first.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := first.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-second; !errors.Is(err, blob.ErrExists) {
		t.Errorf("after the first: got %v, want ErrExists", err)
	}
}

func TestRemovedContentIsUnknown(t *testing.T) {
	s := open(t, t.TempDir())
	digest, err := s.PutBytes(t.Context(), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Remove(digest); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Reader(digest, 0); !errors.Is(err, blob.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

func TestAFullDiskHasItsOwnError(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	content := random(1000)
	digest := blob.Digest(content)
	// /dev/full is a disk with no space left.
	if err := os.Symlink("/dev/full", filepath.Join(dir, "partial", strings.TrimPrefix(digest, "sha256:"))); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(full(t), digest, bytes.NewReader(content)); !errors.Is(err, blob.ErrNoSpace) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
}

func full(t *testing.T) context.Context {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system")
	}
	return t.Context()
}
