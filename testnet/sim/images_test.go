package sim

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/p2p/swarm"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
)

// ofImage is a submission with an image of its own, of 400 KiB or so.
func ofImage(t *testing.T, m *Machine, name string, script ...string) *leasev1.Submission {
	t.Helper()
	image, blobs := runtimetest.Image(strings.Repeat(name, 100/len(name)))
	for digest, content := range blobs {
		if err := m.Store().Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	sub := submission(t, m, script...)
	sub.IntervalMs = 20_000 // nothing here is about beats
	sub.Spec.Image.Digest, sub.Spec.Image.SizeBytes, sub.Spec.Image.Name = image.Digest, uint64(image.Size), name
	return sub
}

// imagesOf are the digests of a machine's images.
func imagesOf(t *testing.T, m *Machine) (digests []string) {
	t.Helper()
	all, err := m.Runtime.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		digests = append(digests, k.Image.Digest)
	}
	return digests
}

func TestAFullStoreLetsGoOfTheImageUsedLongestAgoAndOfNoneInUse(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090:2", Price: price, Owner: func(c *config.Config) { c.Store.Max = 1 << 20 }})
		settle()
		running := ofImage(t, m[0], "running", "sleep 40m")
		id := submit(t, m[0], running, time.Minute)
		old, recent := ofImage(t, m[0], "old", "print ok"), ofImage(t, m[0], "recent", "print ok")
		for _, sub := range []*leasev1.Submission{old, recent} {
			_, events := finish(t, m[0], sub)
			exited(t, events, 0)
			time.Sleep(time.Minute)
		}
		if have := imagesOf(t, m[1]); len(have) != 3 {
			t.Fatalf("%d images on the worker, want 3: the store is looked at in a while only", len(have))
		}
		time.Sleep(15 * time.Minute)
		have := imagesOf(t, m[1])
		if slices.Contains(have, old.Spec.Image.Digest) || !slices.Contains(have, recent.Spec.Image.Digest) || !slices.Contains(have, running.Spec.Image.Digest) {
			t.Errorf("the worker has %v; want those of the running job and of the last one", have)
		}
		exited(t, follow(t, m[0], id), 0)
	})
}

// slowly is an upload-max, in bytes a second, at which a layer takes long enough to be told of.
const slowly = 64 << 10

// registry gives everybody the blobs it has, and counts who asks for what.
type registry struct {
	blobs runtimetest.Blobs
	mu    sync.Mutex
	asked map[string]int
}

func (r *registry) Image(string) (worker.RegistryImage, error) { return r, nil }
func (*registry) Close() error                                 { return nil }

func (r *registry) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.blobs[digest]; ok {
		r.asked[digest]++
	}
	return r.blobs.Blob(ctx, digest, offset)
}

// often is how often the registry was asked for the blob it was asked for most, and least.
func (r *registry) often() (most, least int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := slices.Sorted(maps.Values(r.asked))
	return counts[len(counts)-1], counts[0]
}

func TestAWorkerHasLayersOfPublicImagesFromAnotherThatFetchedThem(t *testing.T) {
	for what, c := range map[string]struct {
		public bool
		share  bool
		layer  int // how often the registry is asked for it
	}{
		"a public image":                   {true, true, 1},
		"an owner who shares nothing":      {true, false, 2},
		"an image that is not everybody's": {false, true, 0},
	} {
		t.Run(what, func(t *testing.T) {
			p2ptest.Bubble(t, func(t *testing.T) {
				image, blobs := runtimetest.Image("public")
				r := &registry{blobs: blobs, asked: map[string]int{image.Digest: 0}}
				lends := Setting{GPUs: "rtx-4090", Price: price, Registry: r, Owner: func(cfg *config.Config) { cfg.Images.Share, cfg.Reach.UploadMax = c.share, slowly }}
				m := Network(t, Setting{Owner: func(cfg *config.Config) { cfg.Reach.UploadMax = slowly }}, lends, lends)
				settle()
				sub := submission(t, m[0], "sleep 5m")
				sub.Spec.Image.Digest, sub.Spec.Image.SizeBytes, sub.Spec.Image.Public = image.Digest, uint64(image.Size), c.public
				sub.IntervalMs = 20_000
				for digest, content := range blobs {
					if err := m[0].Store().Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
						t.Fatal(err)
					}
				}
				first := submit(t, m[0], sub, time.Minute)
				second := submit(t, m[0], proto.CloneOf(sub), time.Minute)
				for _, w := range m[1:] {
					if len(imagesOf(t, w)) != 1 {
						t.Errorf("a worker has %v", imagesOf(t, w))
					}
				}
				if most, least := r.often(); least != c.layer || most > 2 {
					t.Errorf("the registry was asked for one blob %d times and for another %d times; want %d for the layer", most, least, c.layer)
				}
				var digests []string
				for digest := range blobs {
					digests = append(digests, digest)
				}
				if got := strangersGet(t, m[0], m[1], digests); got != (c.public && c.share) {
					t.Errorf("a stranger gets the image: %v", got)
				}
				for i, id := range []string{first, second} {
					events := follow(t, m[0], id)
					exited(t, events, 0)
					from := leasev1.Origin_ORIGIN_UNSPECIFIED // this registry gives a layer in no time
					if !c.public {
						from = leasev1.Origin_ORIGIN_REQUESTER
					} else if i == 1 && c.share {
						from = leasev1.Origin_ORIGIN_PEERS
					}
					if got := layerFrom(events); got != from && from != 0 {
						t.Errorf("job %d is told of a layer from %v, want %v", i, got, from)
					}
				}
			})
		})
	}
}

// layerFrom is where the last layer came from that a job was told of.
func layerFrom(events []*leasev1.JobEvent) (from leasev1.Origin) {
	for _, e := range events {
		if l := e.GetProgress().GetLayer(); l != nil {
			from = l.Origin
		}
	}
	return from
}

// strangersGet says whether somebody without a lease gets all of some blobs.
func strangersGet(t *testing.T, stranger, from *Machine, digests []string) bool {
	t.Helper()
	r := blob.Source(stranger.Host, from.Host.ID(), nil)
	defer r.Close()
	got := 0
	for _, digest := range digests {
		body, err := r.Blob(t.Context(), digest, 0)
		if err == nil {
			got++
			_ = body.Close()
		}
	}
	if got != 0 && got != len(digests) {
		t.Errorf("%d of %d blobs are given to strangers", got, len(digests))
	}
	return got > 0
}

func TestABidSaysHowMuchOfTheImageIsThereAndWhenTheTaskCouldStart(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		sub := submission(t, m[0], "print ok")
		sub.Spec.Image.TotalBytes = 80 << 20 // as the requester says; the image itself knows better, once it is there
		bid := func() *marketv1.Bid {
			_, events := finish(t, m[0], proto.CloneOf(sub))
			exited(t, events, 0)
			return bidIn(t, events)
		}
		if b := bid(); b.ImagePercent != 0 || b.StartMs < 10_000 {
			t.Errorf("with nothing of the image there: %d %%, in %d ms", b.ImagePercent, b.StartMs)
		}
		time.Sleep(time.Minute) // the first has to be settled
		if b := bid(); b.ImagePercent != 100 || b.StartMs > 1000 {
			t.Errorf("with all of it there: %d %%, in %d ms", b.ImagePercent, b.StartMs)
		}
	})
}

func TestABidCountsLayersThatOtherImagesHaveAndTheyAreNotFetchedAgain(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		base, own := strings.Repeat("base", 16), strings.Repeat("mine", 16)
		_, first := runtimetest.Image(base)
		image, second := runtimetest.Image(own, base)
		_, events := finish(t, m[0], ofImage(t, m[0], base, "print ok"))
		exited(t, events, 0)
		time.Sleep(time.Minute)
		sub := submission(t, m[0], "print ok")
		sub.Spec.Image.Digest, sub.Spec.Image.SizeBytes = image.Digest, uint64(image.Size)
		var total, missing uint64
		for digest, content := range second {
			if err := m[0].Store().Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			total += uint64(len(content))
			if first[digest] == nil {
				missing += uint64(len(content))
			}
		}
		sub.Spec.Image.TotalBytes = total
		before := m[0].Status(t.Context()).UploadedBytes
		_, events = finish(t, m[0], sub)
		exited(t, events, 0)
		for _, e := range events {
			if b := e.GetBid().GetBid(); b != nil && uint64(b.ImagePercent) != 100*(total-missing)/total {
				t.Errorf("the bid says that %d %% of the image are there, want %d %%", b.ImagePercent, 100*(total-missing)/total)
			}
		}
		if sent := m[0].Status(t.Context()).UploadedBytes - before; sent != missing {
			t.Errorf("%d bytes were fetched, and %d were missing", sent, missing)
		}
	})
}

// TestALayerComesFromAWorkerThatHasItInAnotherImage has two images upon one large layer, each on
// another worker. The registry is asked for that layer once.
func TestALayerComesFromAWorkerThatHasItInAnotherImage(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		base := strings.Repeat("a large layer ", swarm.WorthFinding/4096/14+1)
		first, blobs := runtimetest.Image("first", base)
		second, more := runtimetest.Image("second", base)
		var layer string
		for digest, content := range blobs {
			if len(content) >= swarm.WorthFinding {
				layer = digest
			}
		}
		maps.Copy(blobs, more)
		r := &registry{blobs: blobs, asked: map[string]int{}}
		lends := Setting{GPUs: "rtx-4090", Price: price, Registry: r}
		m := Network(t, Setting{}, lends, lends)
		settle()
		for i, image := range []runtime.Image{first, second} {
			sub := submission(t, m[0], "sleep 10m")
			sub.IntervalMs = 20_000
			sub.Spec.Image.Digest, sub.Spec.Image.SizeBytes, sub.Spec.Image.Public = image.Digest, uint64(image.Size), true
			for digest, content := range blobs {
				if err := m[0].Store().Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
					t.Fatal(err)
				}
			}
			id := submit(t, m[0], sub, time.Minute) // on the worker that is free
			defer func() { exited(t, follow(t, m[0], id), 0) }()
			if len(imagesOf(t, m[1]))+len(imagesOf(t, m[2])) != i+1 {
				t.Fatal("the image is not there")
			}
		}
		if r.asked[layer] != 1 || r.asked[second.Digest] != 1 {
			t.Errorf("the registry was asked %d times for the layer, and %d times for the second image", r.asked[layer], r.asked[second.Digest])
		}
	})
}
