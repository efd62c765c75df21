package swarm_test

import (
	"bytes"
	"context"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/p2p/swarm"
)

// serve gives a blob to everybody.
func serve(t testing.TB, h *p2p.Host, content []byte) {
	t.Helper()
	s, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), blob.Digest(content), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	blob.Serve(h, s, func(_ peer.ID, lease []byte, _ string) bool { return len(lease) == 0 }, nil)
}

// among is a swarm of hosts that are found at once.
func among(h *p2p.Host, others ...*p2p.Host) *swarm.Swarm {
	return swarm.New(swarm.Config{
		Find: func(context.Context, string, int) iter.Seq[peer.ID] {
			return func(yield func(peer.ID) bool) {
				for _, o := range others {
					if !yield(o.ID()) {
						return
					}
				}
			}
		},
		Open: func(id peer.ID) swarm.Peer { return blob.Source(h, id, nil) },
		Log:  slog.New(slog.DiscardHandler),
	})
}

// fetch reads a blob from a swarm and says how long that took.
func fetch(t testing.TB, s *swarm.Swarm, content []byte) time.Duration {
	t.Helper()
	began := time.Now()
	i := s.Image("image")
	defer i.Close()
	body, err := i.Layer(t.Context(), blob.Digest(content), int64(len(content)), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var got bytes.Buffer
	if _, err := io.Copy(&got, body); err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Fatalf("%d bytes of %d, %v", got.Len(), len(content), err)
	}
	return time.Since(began)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// TestThreePeersAreFasterThanOne is on a simulated network, where the sending side's line is
// what bounds a peer, in simulated time.
func TestThreePeersAreFasterThanOne(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		content := random(12 << 20)
		hosts := p2ptest.Simulated(t, 4, p2ptest.Link{Mbps: 20, First: 200})
		for _, h := range hosts[1:] {
			p2ptest.Introduce(t, hosts[0], h)
			serve(t, h, content)
		}
		one := fetch(t, among(hosts[0], hosts[1]), content)
		three := fetch(t, among(hosts[0], hosts[1:]...), content)
		t.Logf("12 MiB from one peer in %s, from three in %s", one, three)
		if three > one/2 {
			t.Errorf("from three peers it takes %s, from one %s", three, one)
		}
	})
}
