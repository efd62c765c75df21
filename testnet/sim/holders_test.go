package sim

import (
	"bytes"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
)

// TestARequestersImageIsHereForNobodyElse has two requesters use one image of one worker. What
// the second is told and has to send is what it would be if the first had never come.
func TestARequestersImageIsHereForNobodyElse(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		m := Network(t, Setting{}, Setting{}, Setting{GPUs: "rtx-4090", Price: price})
		settle()
		image, blobs := runtimetest.Image("private")
		var total uint64
		for _, content := range blobs {
			total += uint64(len(content))
		}
		for i, want := range []struct {
			from    *Machine
			percent uint32
			sent    uint64
		}{{m[0], 0, total}, {m[1], 0, total}, {m[1], 100, 0}, {m[0], 100, 0}} {
			for digest, content := range blobs {
				if err := want.from.Store().Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
					t.Fatal(err)
				}
			}
			sub := submission(t, want.from, "print ok")
			sub.Spec.Image = &marketv1.Image{Digest: image.Digest, MediaType: image.MediaType, SizeBytes: uint64(image.Size), Platform: image.Platform, TotalBytes: total}
			before := want.from.Status(t.Context()).UploadedBytes
			_, events := finish(t, want.from, sub)
			exited(t, events, 0)
			if sent := want.from.Status(t.Context()).UploadedBytes - before; sent != want.sent {
				t.Errorf("job %d: %d bytes were sent, want %d", i, sent, want.sent)
			}
			if b := bidIn(t, events); b.ImagePercent != want.percent {
				t.Errorf("job %d: the bid says that %d %% of the image are there, want %d %%", i, b.ImagePercent, want.percent)
			}
			time.Sleep(time.Minute) // it has to be settled
		}
	})
}

// bidIn is the bid that a job was told of.
func bidIn(t *testing.T, events []*leasev1.JobEvent) *marketv1.Bid {
	t.Helper()
	for _, e := range events {
		if b := e.GetBid(); b != nil {
			return b.Bid
		}
	}
	t.Fatal("no bid was told of")
	return nil
}
