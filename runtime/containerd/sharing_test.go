//go:build linux

package containerd

import (
	"context"
	"io"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
)

// noting passes requests on and notes what they are for.
type noting struct {
	runtime.BlobSource
	asked []string
}

func (n *noting) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	n.asked = append(n.asked, digest)
	return n.BlobSource.Blob(ctx, digest, offset)
}

// TestALayerOfAnotherImageIsNotFetchedAgain has two images upon busybox; one of them is here.
func TestALayerOfAnotherImageIsNotFetchedAgain(t *testing.T) {
	h := open(t)
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			before, err := h.Blobs(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			image, from := newImage(t) // another for each name
			src := &noting{BlobSource: from}
			if err := h.Pull(t.Context(), image, src, nil); err != nil {
				t.Fatal(err)
			}
			for _, digest := range src.asked {
				if _, here := before[digest]; here {
					t.Errorf("%s was asked for, and is here", digest)
				}
			}
			after, err := h.Blobs(t.Context(), "")
			if err != nil || len(after) != len(before)+len(src.asked) {
				t.Errorf("%d blobs became %d, and %d were asked for; %v", len(before), len(after), len(src.asked), err)
			}
			// Manifest, config and the layer of its own, but not busybox's.
			if name == "second" && len(src.asked) != 3 {
				t.Errorf("asked for %v", src.asked)
			}
		})
	}
}
