package blob_test

import (
	"crypto/sha256"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/blob"
)

// rawStream is what a plain libp2p stream does with the same content, the
// receiver hashing: what the transfer is measured against.
func rawStream(b *testing.B, s *blob.Store, hosts [2]*p2p.Host, digest string, size int64) {
	hosts[0].Libp2p().SetStreamHandler("/raw", func(st network.Stream) {
		defer st.Close()
		r, err := s.Reader(digest, 0)
		if err != nil {
			b.Error(err)
			return
		}
		defer r.Close()
		_, _ = io.CopyBuffer(struct{ io.Writer }{st}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	})
	b.Run("raw stream to hash", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			st, err := hosts[1].Libp2p().NewStream(b.Context(), hosts[0].ID(), "/raw")
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.CopyBuffer(sha256.New(), st, make([]byte, 256<<10)); err != nil || n != size {
				b.Fatal(n, err)
			}
			_ = st.Close()
		}
	})
}
