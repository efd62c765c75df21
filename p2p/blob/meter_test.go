package blob_test

import (
	"sync"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

// TestAMeterBoundsWhatAllPeersHaveTogether is in simulated time, on lines that are twenty
// times as fast.
func TestAMeterBoundsWhatAllPeersHaveTogether(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		const perSecond, size = 256 << 10, 2 << 20
		hosts := p2ptest.Simulated(t, 3, p2ptest.Link{Mbps: 100, First: 210})
		s, content := open(t, t.TempDir()), random(size)
		digest := put(t, s, content)
		meter := blob.NewMeter(perSecond)
		blob.Serve(hosts[0], s, everybody, meter)
		began := time.Now()
		var both sync.WaitGroup
		for _, h := range hosts[1:] {
			p2ptest.Introduce(t, h, hosts[0])
			both.Go(func() {
				from := blob.Source(h, hosts[0].ID(), lease)
				defer from.Close()
				if err := blob.Fetch(t.Context(), from, digest, open(t, t.TempDir())); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		took, least := time.Since(began), 2*size/perSecond*time.Second
		if took < least-time.Second || took > least+5*time.Second {
			t.Errorf("two peers had %d bytes each in %s, want %s", size, took, least)
		}
		if meter.Sent() != 2*size {
			t.Errorf("%d bytes were counted", meter.Sent())
		}
	})
}
