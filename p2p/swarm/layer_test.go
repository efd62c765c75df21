package swarm

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/peer"
)

// findsLayer is a swarm in which nobody has the image, and some have a layer of it.
func findsLayer(layer string, c *crowd) *Swarm {
	cfg := c.swarm().cfg
	all := cfg.Find
	cfg.Find = func(context.Context, string, int) iter.Seq[peer.ID] { return func(func(peer.ID) bool) {} }
	cfg.FindLayer = func(ctx context.Context, digest string, limit int) iter.Seq[peer.ID] {
		if digest != layer {
			return cfg.Find(ctx, digest, limit)
		}
		return all(ctx, digest, limit)
	}
	return New(cfg)
}

func TestALargeLayerIsFoundByItsDigestAndItsPeersAreAskedForNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := content(WorthFinding + 5)
		var asked atomic.Int64
		c := &crowd{peers: map[peer.ID]*fake{"a": {content: want, asked: func() { asked.Add(1) }}}}
		i := findsLayer("large", c).Image("an image")
		defer i.Close()
		body, err := i.Layer(t.Context(), "large", int64(len(want)), 0)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, body); err != nil || n != int64(len(want)) {
			t.Errorf("%d bytes, %v", n, err)
		}
		_ = body.Close()
		synctest.Wait()
		asked.Store(0)
		for _, size := range []int64{WorthFinding, 100} {
			if _, err := i.Layer(t.Context(), "another", size, 0); !errors.Is(err, ErrNobody) || asked.Load() > 0 {
				t.Errorf("another layer of %d bytes: %v; the peer was asked %d times", size, err, asked.Load())
			}
		}
	})
}

func TestASmallLayerIsNotLookedForByItsDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := content(WorthFinding - 1)
		i := findsLayer("small", &crowd{peers: map[peer.ID]*fake{"a": {content: want}}}).Image("an image")
		defer i.Close()
		if _, err := i.Layer(t.Context(), "small", int64(len(want)), 0); !errors.Is(err, ErrNobody) {
			t.Error(err)
		}
	})
}

func TestWhoeverHasTheImageIsAskedForEveryLayerThoughFoundByOneFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		image := (&crowd{}).swarm().Image("an image")
		defer image.Close()
		synctest.Wait()
		image.join("a", "one")
		for layer, want := range map[string]int{"one": 1, "two": 0} {
			if all, _, _ := image.useful(&history{digest: layer}); len(all) != want {
				t.Errorf("%d may have layer %s", len(all), layer)
			}
		}
		image.join("a", "two")
		image.join("a", "")
		for _, layer := range []string{"one", "two", "three"} {
			if all, _, _ := image.useful(&history{digest: layer}); len(all) != 1 {
				t.Errorf("%d may have layer %s", len(all), layer)
			}
		}
	})
}
