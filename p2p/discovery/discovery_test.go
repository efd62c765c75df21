package discovery_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/discovery"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

// everywhere exempts simulated hosts, which all have addresses of one network.
var everywhere = discovery.Config{Exempt: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}

func attach(t *testing.T, cfg discovery.Config, hosts ...*p2p.Host) []*discovery.Discovery {
	t.Helper()
	var out []*discovery.Discovery
	for _, h := range hosts {
		d, err := discovery.New(h, cfg)
		if err != nil {
			t.Fatal(err)
		}
		p2ptest.Run(t, h, d)
		out = append(out, d)
	}
	return out
}

// awaitKnown waits until every table holds n nodes.
func awaitKnown(t *testing.T, hosts []*p2p.Host, ds []*discovery.Discovery, n int) {
	t.Helper()
	for i, d := range ds {
		deadline := time.After(3 * time.Minute)
		sub, err := hosts[i].Libp2p().EventBus().Subscribe([]any{
			new(event.EvtPeerConnectednessChanged), new(event.EvtPeerIdentificationCompleted),
		})
		if err != nil {
			t.Fatal(err)
		}
		for d.Known() < n {
			select {
			case <-sub.Out():
			case <-time.After(50 * time.Millisecond): // a table has no event of its own
			case <-deadline:
				t.Fatalf("node %d knows %d others, want %d", i, d.Known(), n)
			}
		}
		sub.Close()
	}
}

func find(t *testing.T, d *discovery.Discovery, key string, limit int) map[peer.ID]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	got := make(map[peer.ID]bool)
	for p := range d.Find(ctx, key, limit) {
		got[p.ID] = true
	}
	return got
}

func TestNodesWithOneBootstrapPeerFindEachOther(t *testing.T) {
	hosts := p2ptest.Loopback(t, 16)
	ds := attach(t, discovery.Config{}, hosts...)
	awaitKnown(t, hosts, ds, 12) // more than the filter lets in of one group
	for _, i := range []int{3, 7} {
		if err := ds[i].Provide(t.Context(), "vram/24g/0"); err != nil {
			t.Fatal(err)
		}
	}
	want := map[peer.ID]bool{hosts[3].ID(): true, hosts[7].ID(): true}
	if diff := cmp.Diff(want, find(t, ds[12], "vram/24g/0", 0)); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[peer.ID]bool{hosts[7].ID(): true}, find(t, ds[3], "vram/24g/0", 1)); diff != "" {
		t.Errorf("a provider itself found (-want +got):\n%s", diff)
	}
	if got := find(t, ds[12], "vram/80g/0", 0); len(got) != 0 {
		t.Errorf("found %v under another key", got)
	}
	info, err := ds[14].FindPeer(t.Context(), hosts[5].ID())
	if err != nil || len(info.Addrs) == 0 {
		t.Errorf("find peer: %v %v", info, err)
	}
}

func TestProvideWaitsForNobodyAndIsDoneLater(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 3, p2ptest.Link{})
		ds := make([]*discovery.Discovery, 3)
		for i, h := range hosts {
			d, err := discovery.New(h, everywhere)
			if err != nil {
				t.Fatal(err)
			}
			ds[i] = d
			p2ptest.Run(t, d)
		}
		start := time.Now()
		if err := ds[1].Provide(t.Context(), "model/rtx-4090/0"); !errors.Is(err, discovery.ErrAlone) {
			t.Errorf("got %v, want ErrAlone", err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("waited %v", d)
		}
		p2ptest.Run(t, hosts[1], hosts[2])
		time.Sleep(10 * time.Second)
		if got := find(t, ds[2], "model/rtx-4090/0", 0); !got[hosts[1].ID()] {
			t.Errorf("found %v", got)
		}
	})
}

func TestRecordsAreRenewedAndThoseOfTheDeadExpire(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 5, p2ptest.Link{})
		ds := attach(t, everywhere, hosts...)
		time.Sleep(30 * time.Second)
		for _, i := range []int{2, 3} {
			if err := ds[i].Provide(t.Context(), "vram/8g/0"); err != nil {
				t.Fatal(err)
			}
		}
		ds[3].Withdraw("vram/8g/0")
		if got := find(t, ds[4], "vram/8g/0", 0); len(got) != 2 {
			t.Errorf("at first: found %v, want both", got)
		}
		time.Sleep(discovery.Validity + discovery.Republish)
		if diff := cmp.Diff(map[peer.ID]bool{hosts[2].ID(): true}, find(t, ds[4], "vram/8g/0", 0)); diff != "" {
			t.Errorf("after %v found (-want +got):\n%s", discovery.Validity+discovery.Republish, diff)
		}
	})
}

func TestPeersOfOneNetworkCannotFillTheTable(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		hosts := p2ptest.Simulated(t, 13, p2ptest.Link{})
		victim := attach(t, discovery.Config{Exempt: []netip.Prefix{}}, hosts...)[0]
		time.Sleep(20 * time.Second)
		if n := victim.Known(); n > 10 || n < 3 {
			t.Errorf("the table holds %d of 12 nodes of one network", n)
		}
	})
}

func TestConnectFindsAPeerThroughTheTable(t *testing.T) {
	hosts := p2ptest.Loopback(t, 5)
	ds := attach(t, discovery.Config{}, hosts...)
	awaitKnown(t, hosts, ds, 3)
	stranger := p2ptest.Loopback(t, 1)[0]
	d, err := discovery.New(stranger, discovery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.ConnectAddr(t.Context(), hosts[0].Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	awaitKnown(t, []*p2p.Host{stranger}, []*discovery.Discovery{d}, 1)
	if err := stranger.Connect(t.Context(), hosts[4].ID()); err != nil {
		t.Error(err)
	}
}
