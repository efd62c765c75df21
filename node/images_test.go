package node

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rigmesh/rigmesh/p2p/swarm"
	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
)

// weights is a runtime that says how large blobs are.
type weights struct {
	runtimetest.Memory
	sizes map[string]int64 // nil: it cannot tell
}

func (w *weights) Blobs(context.Context, string) (map[string]int64, error) {
	if w.sizes == nil {
		return nil, errors.New("not now")
	}
	return w.sizes, nil
}

var _ runtime.Images = (*weights)(nil)

func TestTheLargestLayersOfAnImageAreFoundHoweverOftenItIsShared(t *testing.T) {
	const least = swarm.WorthFinding
	w := &weights{sizes: map[string]int64{"a": least, "b": 2 * least, "c": 4 * least, "d": 3 * least, "small": 1}}
	n := &Node{parts: Parts{Runtime: w}}
	n.cfg.Images.Share = true
	i := &images{n: n, file: filepath.Join(t.TempDir(), "shared.json"), log: slog.New(slog.DiscardHandler), changed: make(chan struct{}, 1)}
	share := func(blobs, want []string) {
		t.Helper()
		i.Share("image", blobs)
		if len(i.shared) != 1 || !slices.Equal(i.shared[0].Layers, want) {
			t.Errorf("%v shared: %+v, want layers %v", blobs, i.shared, want)
		}
	}
	share([]string{"a", "b", "small"}, []string{"b", "a"})
	share([]string{"c", "a"}, []string{"c", "b"})
	share([]string{"d"}, []string{"c", "d"})
	if got := i.shared[0].Blobs; !slices.Equal(got, []string{"a", "b", "c", "d", "small"}) {
		t.Errorf("others may have %v", got)
	}
	w.sizes = nil
	share([]string{"a"}, []string{"c", "d"})
}
