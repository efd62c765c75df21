package blob_test

import (
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// beyondIdle is longer than a stream is kept between two requests.
const beyondIdle = 2 * time.Minute

// Whoever forgets to close what it read from does not lock itself out.
func TestForgottenStreamsMakeRoomForMore(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
		p2ptest.Introduce(t, hosts[1], hosts[0])
		s := open(t, t.TempDir())
		blob.Serve(hosts[0], s, everybody, nil)
		digest := put(t, s, []byte("x"))
		var sources []*blob.Remote
		for range 8 { // as many as one peer may have
			r := blob.Source(hosts[1], hosts[0].ID(), lease)
			sources = append(sources, r)
			readAll(t, r, digest, 0)
		}
		time.Sleep(beyondIdle)
		for range 8 {
			r := blob.Source(hosts[1], hosts[0].ID(), lease)
			sources = append(sources, r)
			readAll(t, r, digest, 0)
		}
		for _, r := range sources { // those that were given up on in between go on as well
			time.Sleep(beyondIdle)
			readAll(t, r, digest, 0)
		}
	})
}

// A peer that may have nothing gets its answer, and no stream to keep.
func TestRefusedStrangersHoldNoStreams(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 2, p2ptest.Link{})
		p2ptest.Introduce(t, hosts[1], hosts[0])
		s := open(t, t.TempDir())
		public, private := put(t, s, []byte("x")), put(t, s, []byte("y"))
		blob.Serve(hosts[0], s, func(_ peer.ID, _ []byte, digest string) bool { return digest == public }, nil)
		for i := range 20 { // more than one peer may have
			c, err := stream.Open(t.Context(), hosts[1], hosts[0].ID(), "blob")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Send(&leasev1.BlobRequest{Digest: private, LeaseId: lease}); err != nil {
				t.Fatal(err)
			}
			var f leasev1.BlobFrame
			if err := c.Recv(&f); err != nil || f.GetError() != leasev1.BlobError_BLOB_ERROR_UNKNOWN {
				t.Fatalf("request %d: got %v, %v; want to be refused", i, &f, err)
			}
			time.Sleep(time.Second) // c stays open at this side
		}
		r := blob.Source(hosts[1], hosts[0].ID(), nil)
		if _, err := r.Blob(t.Context(), private, 0); !errors.Is(err, blob.ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
		if got := readAll(t, r, public, 0); string(got) != "x" {
			t.Errorf("after a refusal got %q", got)
		}
	})
}
