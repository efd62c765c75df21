package node

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job/requester"
	"github.com/rigmesh/rigmesh/node/shares"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/runtime"
)

// shelving is a node with a bound on its store, and blobs of 1000 bytes that were used
// yesterday in it.
func shelving(t *testing.T, most uint64, blobs int) *Node {
	t.Helper()
	dir := t.TempDir()
	store, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range blobs {
		content := make([]byte, 1000)
		content[0] = byte(i)
		if _, err := store.PutBytes(t.Context(), content); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chtimes(path, yesterday, yesterday)
	})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	n := &Node{store: store, requester: &requester.Requester{Config: requester.Config{Now: time.Now}}, log: log}
	n.cfg.Store.Max = most
	n.commons = &commons{n: n, shares: shares.Open(shares.Config{
		File: filepath.Join(t.TempDir(), "shares.json"), Now: time.Now, Digests: folders{store: store}.Digests, Log: log,
	})}
	return n
}

func blobsIn(t *testing.T, n *Node) int {
	t.Helper()
	all, err := n.store.List()
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestRoomIsMadeByLettingGoOfWhatIsOldest(t *testing.T) {
	n := shelving(t, 3000, 3)
	if err := n.trim(t.Context(), 2000); err != nil {
		t.Fatal(err)
	}
	if left := blobsIn(t, n); left != 1 {
		t.Errorf("%d blobs are left, want 1", left)
	}
}

// Anybody may name an input of any size.
func TestWhatCannotFitThrowsNothingOut(t *testing.T) {
	n := shelving(t, 3000, 3)
	if err := n.trim(t.Context(), 3001); !errors.Is(err, runtime.ErrNoSpace) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
	used, err := n.store.PutBytes(t.Context(), []byte("in use"))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.trim(t.Context(), 3000); !errors.Is(err, runtime.ErrNoSpace) {
		t.Errorf("beside what is in use: got %v, want ErrNoSpace", err)
	}
	if left := blobsIn(t, n); left != 4 || !n.store.Has(used) {
		t.Errorf("%d blobs are left, want all 4", left)
	}
}
