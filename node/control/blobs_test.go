package control

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestBlobOfManyPiecesArrivesWholeAndComesBack(t *testing.T) {
	f := newFakeNode()
	c := f.dial(t)
	content := randomBytes(24<<20 + 17)
	digest := digestOf(content)
	if err := c.PutBlob(t.Context(), digest, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{0, 5, int64(len(content))} {
		r, err := c.Blob(t.Context(), digest, offset)
		if err != nil {
			t.Fatal(err)
		}
		back, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(back, content[offset:]) {
			t.Errorf("from %d on came %d bytes, %v", offset, len(back), err)
		}
		_ = r.Close()
	}
}

func TestEmptyBlobIsABlob(t *testing.T) {
	f := newFakeNode()
	c := f.dial(t)
	digest := digestOf(nil)
	if err := c.PutBlob(t.Context(), digest, bytes.NewReader(nil)); err != nil {
		t.Fatal(err)
	}
	if _, there := f.blobs[digest]; !there {
		t.Error("the node does not have it")
	}
}

func TestMissingBlobsAreThoseTheNodeLacks(t *testing.T) {
	f := newFakeNode()
	f.blobs["sha256:here"] = []byte("x")
	digests := []string{"sha256:here"}
	for range digestsPerCall + 1 { // more than one page
		digests = append(digests, "sha256:gone")
	}
	missing, err := f.dial(t).MissingBlobs(t.Context(), digests)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(digests[1:], missing); diff != "" {
		t.Error(diff)
	}
}

func TestContentOfAnotherDigestIsRefused(t *testing.T) {
	c := newFakeNode().dial(t)
	err := c.PutBlob(t.Context(), digestOf([]byte("this")), bytes.NewReader(randomBytes(1<<20)))
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("put: %v", err)
	}
	if err := c.PutBlob(t.Context(), "", bytes.NewReader([]byte("that"))); !errors.Is(err, ErrInvalid) {
		t.Errorf("put without a digest: %v", err)
	}
}

func TestUploadOfAFileThatCannotBeReadStoresNothing(t *testing.T) {
	f := newFakeNode()
	content := randomBytes(1 << 20)
	broken := io.MultiReader(bytes.NewReader(content[:600_000]), iotest.ErrReader(errors.New("unplugged")))
	if err := f.dial(t).PutBlob(t.Context(), digestOf(content), broken); err == nil {
		t.Error("put of half a file went well")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.blobs) != 0 {
		t.Errorf("the node holds %d blobs", len(f.blobs))
	}
}

func TestBlobThatIsNotHereIsNotFound(t *testing.T) {
	r, err := newFakeNode().dial(t).Blob(t.Context(), "sha256:none", 0)
	if err == nil {
		_, err = io.ReadAll(r)
	}
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("blob: %v", err)
	}
}
