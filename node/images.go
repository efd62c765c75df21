package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/swarm"
	"github.com/rigmesh/rigmesh/runtime"
)

// maxShared bounds the images for which this node stands in the DHT: each is put there
// anew every few minutes.
const maxShared = 64

// imageKey is where the workers that have an image are found.
func imageKey(digest string) string { return "image/" + digest }

// layerKey is where the workers that have a large layer are found, of whatever image.
func layerKey(digest string) string { return "layer/" + digest }

// maxLayers is how many layers of an image, the largest, stand in the DHT by themselves.
const maxLayers = 2

// sizesWithin bounds asking the runtime how large blobs are.
const sizesWithin = 10 * time.Second

// images are the public images of other workers, and what they may have of ours.
type images struct {
	n     *Node
	swarm *swarm.Swarm
	file  string
	log   *slog.Logger

	changed chan struct{} // nudges run

	mu     sync.Mutex
	shared []sharedImage // the last one came last
}

// sharedImage is an image that anybody gets from its registry.
type sharedImage struct {
	Image  string   `json:"image"`
	Blobs  []string `json:"blobs"`
	Layers []string `json:"layers,omitempty"` // of the blobs, those that are found by themselves
}

func openImages(n *Node) *images {
	i := &images{n: n, file: n.path("shared-images.json"), log: n.log, changed: make(chan struct{}, 1)}
	crowd := n.swarm(imageKey)
	crowd.FindLayer = n.under(layerKey)
	i.swarm = swarm.New(crowd)
	b, err := os.ReadFile(i.file)
	if err == nil {
		err = json.Unmarshal(b, &i.shared)
	}
	if err != nil && !os.IsNotExist(err) {
		n.log.Warn("images that others may have are forgotten", "err", err)
	}
	return i
}

// Image implements worker.Swarm.
func (i *images) Image(digest string) worker.SwarmImage { return i.swarm.Image(digest) }

// swarm is the other nodes under the keys of digests, as far as they give something to
// everybody.
func (n *Node) swarm(key func(digest string) string) swarm.Config {
	return swarm.Config{
		Find: n.under(key),
		Open: func(id peer.ID) swarm.Peer { return blob.Source(n.host, id, nil) },
		Lied: n.standing.Strike, Log: n.log,
	}
}

// under finds the nodes that stand under the key of a digest.
func (n *Node) under(key func(digest string) string) func(context.Context, string, int) iter.Seq[peer.ID] {
	return func(ctx context.Context, digest string, limit int) iter.Seq[peer.ID] {
		return func(yield func(peer.ID) bool) {
			for p := range n.discovery.Find(ctx, key(digest), limit) {
				if !yield(p.ID) {
					return
				}
			}
		}
	}
}

// Share implements worker.Swarm.
func (i *images) Share(image string, blobs []string) {
	if !i.n.cfg.Images.Share {
		return
	}
	sizes := i.sizes()
	i.mu.Lock()
	var layers []string // as before, where the runtime cannot tell
	i.shared = slices.DeleteFunc(i.shared, func(s sharedImage) bool {
		if s.Image == image {
			blobs, layers = append(blobs, s.Blobs...), s.Layers
		}
		return s.Image == image
	})
	slices.Sort(blobs)
	blobs = slices.Compact(blobs)
	if sizes != nil {
		layers = large(blobs, sizes)
	}
	i.shared = append(i.shared, sharedImage{Image: image, Blobs: blobs, Layers: layers})
	i.shared = slices.Clone(i.shared[max(0, len(i.shared)-maxShared):])
	i.save()
	i.mu.Unlock()
	i.tell()
}

// sizes are those of the public blobs that are here, by digest; nil where the runtime cannot tell.
func (i *images) sizes() map[string]int64 {
	parts, ok := i.n.parts.Runtime.(runtime.Images)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), sizesWithin)
	defer cancel()
	sizes, err := parts.Blobs(ctx, "")
	if err != nil {
		i.log.Warn("how large the layers of an image are", "err", err)
		return nil
	}
	return sizes
}

// large are the largest of some blobs, as far as they are worth finding.
func large(blobs []string, sizes map[string]int64) []string {
	worth := slices.DeleteFunc(slices.Clone(blobs), func(d string) bool { return sizes[d] < swarm.WorthFinding })
	slices.SortStableFunc(worth, func(a, b string) int { return cmp.Compare(sizes[b], sizes[a]) })
	return worth[:min(len(worth), maxLayers)]
}

// tell has run look at what is shared.
func (i *images) tell() {
	select {
	case i.changed <- struct{}{}:
	default: // it looks anyway
	}
}

// run puts this node where whoever looks for the images finds it.
func (i *images) run(ctx context.Context) error {
	i.n.stand(ctx, lookAnew, i.changed, func() (keys []string) {
		i.mu.Lock()
		defer i.mu.Unlock()
		for _, s := range i.shared {
			if !i.n.cfg.Images.Share {
				continue
			}
			keys = append(keys, imageKey(s.Image))
			for _, digest := range s.Layers {
				if key := layerKey(digest); !slices.Contains(keys, key) {
					keys = append(keys, key)
				}
			}
		}
		return keys
	})
	return nil
}

// forget stands for an image no more.
func (i *images) forget(image string) {
	i.mu.Lock()
	i.shared = slices.DeleteFunc(i.shared, func(s sharedImage) bool { return s.Image == image })
	i.save()
	i.mu.Unlock()
	i.tell()
}

// save writes down what is shared. The caller holds mu.
func (i *images) save() {
	b, err := json.Marshal(i.shared)
	if err == nil {
		err = journal.WriteFile(i.file, b)
	}
	if err != nil {
		i.log.Warn("write down which images others may have", "err", err)
	}
}

// public says whether anybody may have a blob.
func (i *images) public(digest string) bool {
	if !i.n.cfg.Images.Share {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.ContainsFunc(i.shared, func(s sharedImage) bool { return slices.Contains(s.Blobs, digest) })
}

// contents is what peers may be served: the store, and the blobs of public images.
type contents struct {
	*blob.Store
	images *images
	parts  runtime.Images // nil: none
}

// Size implements blob.Content.
func (c contents) Size(digest string) (int64, error) {
	size, err := c.Store.Size(digest)
	if err == nil || c.parts == nil || !c.images.public(digest) {
		return size, err
	}
	r, size, err := c.part(digest, 0)
	if err != nil {
		return 0, err
	}
	return size, r.Close()
}

// Reader implements blob.Content.
func (c contents) Reader(digest string, offset int64) (io.ReadCloser, error) {
	if c.Has(digest) || c.parts == nil || !c.images.public(digest) {
		return c.Store.Reader(digest, offset)
	}
	r, _, err := c.part(digest, offset)
	return r, err
}

func (c contents) part(digest string, offset int64) (io.ReadCloser, int64, error) {
	r, size, err := c.parts.Part(context.Background(), digest, offset)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", blob.ErrUnknown, err)
	}
	return r, size, nil
}
