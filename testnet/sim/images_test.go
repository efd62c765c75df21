package sim

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
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
