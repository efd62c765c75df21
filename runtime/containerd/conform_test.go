//go:build linux

package containerd

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/client"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
	"github.com/rigmesh/rigmesh/testnet/ociimage"
)

func TestContainerdConforms(t *testing.T) {
	h := open(t)
	runtimetest.Conform(t, func(*testing.T) runtimetest.Harness {
		return runtimetest.Harness{
			Runtime:       h.Runtime,
			Image:         h.image,
			Command:       runtimetest.Shell,
			NotExecutable: []string{"/bin/not-executable"},
			NewImage:      newImage,
			Reopen:        func(t *testing.T) runtime.Runtime { return reopen(t, h.cfg.DataDir) },
		}
	})
}

// newImage makes an image whose last layer nobody has, and which does not compress.
func newImage(t *testing.T) (runtime.Image, runtime.BlobSource) {
	dir := t.TempDir()
	own, busybox := filepath.Join(dir, "own"), filepath.Join(dir, "busybox")
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 1<<16)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(t.Name()))).Read(noise)
	if err := os.WriteFile(filepath.Join(own, "noise"), noise, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ociimage.BusyboxTree(busybox); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "image.tar")
	if err := ociimage.FromDirs(path, ociimage.Options{}, own, busybox); err != nil {
		t.Fatal(err)
	}
	archive := openArchive(t, path)
	return archive.Image(), archive
}

// Whoever asks something of a task that ends just then may find its shim gone, which says so in words of its own.
func TestWhatIsAskedOfATaskThatEndsMeanwhileIsNoError(t *testing.T) {
	h := open(t)
	broken := errors.New("ttrpc: closed")
	end := h.gated(t, "ends", 3)
	ask := func(end func()) error {
		return h.withTask(t.Context(), "ends", func(context.Context, client.Task) error { end(); return broken })
	}
	if err := ask(func() {}); !errors.Is(err, broken) {
		t.Errorf("of one that runs: %v", err)
	}
	if err := ask(func() { end(); h.end(t, "ends") }); err != nil {
		t.Errorf("of one that has ended: %v", err)
	}
}
