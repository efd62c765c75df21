package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/node/config"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// offer is a worker's signed offer.
func offer(t *testing.T, name string, sequence, price uint64, change func(*marketv1.Offer)) (peer.ID, *marketv1.Signed) {
	t.Helper()
	key := sessiontest.Key(name)
	tag := statement.GPUTag("test", name)
	o := &marketv1.Offer{
		Version: 1, Network: "test", Worker: sessiontest.Public(key), Sequence: sequence,
		IssuedMs: now.UnixMilli(), ExpiresMs: now.Add(5 * time.Minute).UnixMilli(), Simulated: true,
		Devices:    []*marketv1.Device{{Tag: tag[:], Model: "rtx-4090", VramBytes: 24 << 30, Price: price, Simulated: true}},
		Machine:    &marketv1.Machine{Cpus: 4, MemoryBytes: 8 << 30, DiskBytes: 100 << 30, Platform: "linux/amd64"},
		PeerRecord: []byte("record"), FreeDevices: 1, MaxDurationMs: time.Hour.Milliseconds(),
	}
	if change != nil {
		change(o)
	}
	signed, err := statement.Sign(key, statement.TypeOffer, o)
	if err != nil {
		t.Fatal(err)
	}
	return sessiontest.Peer(t, key), signed
}

var now = time.UnixMilli(1_800_000_000_000)

func index(at *time.Time) *offers {
	n := &Node{cfg: config.Config{Network: "test"}, log: slog.New(slog.DiscardHandler)}
	n.parts.Now = func() time.Time { return *at }
	return newOffers(n)
}

func TestTheNewestOfferOfAWorkerCounts(t *testing.T) {
	at := now
	o := index(&at)
	for _, c := range []struct{ sequence, price, want uint64 }{
		{5, 300, 300}, {4, 200, 300}, {5, 250, 300}, {6, 350, 350},
	} {
		id, signed := offer(t, "worker", c.sequence, c.price, nil)
		of, err := o.add(id, signed)
		if err != nil {
			t.Fatal(err)
		}
		if got := cheapest(of.Offer); got != c.want {
			t.Errorf("after offer %d at %d the price is %d, want %d", c.sequence, c.price, got, c.want)
		}
	}
	id, signed := offer(t, "cheap", 1, 100, nil)
	if _, err := o.add(id, signed); err != nil {
		t.Fatal(err)
	}
	if all := o.known(); len(all) != 2 || all[0].Worker != id {
		t.Errorf("known %v; want the cheapest first", all)
	}
	at = at.Add(time.Hour)
	if all := o.known(); len(all) != 0 || len(o.of) != 0 {
		t.Errorf("known an hour later: %v", all)
	}
}

func TestOffersThatAreNotWhatTheySeemAreRefused(t *testing.T) {
	at := now
	o := index(&at)
	stranger := sessiontest.Peer(t, sessiontest.Key("stranger"))
	for name, change := range map[string]func(*marketv1.Offer){
		"a foreign network": func(of *marketv1.Offer) { of.Network = "other" },
		"expired": func(of *marketv1.Offer) {
			of.IssuedMs, of.ExpiresMs = now.Add(-time.Hour).UnixMilli(), now.Add(-time.Minute).UnixMilli()
		},
		"nonsense":       func(of *marketv1.Offer) { of.Devices = nil },
		"another's name": func(of *marketv1.Offer) { of.Worker = sessiontest.Public(sessiontest.Key("stranger")) },
	} {
		id, signed := offer(t, "worker", 1, 100, change)
		if _, err := o.add(id, signed); err == nil {
			t.Errorf("%s: taken in", name)
		}
	}
	_, signed := offer(t, "worker", 1, 100, nil)
	if _, err := o.add(stranger, signed); err == nil {
		t.Error("brought by a stranger: taken in")
	}
	if _, err := o.add(stranger, nil); err == nil {
		t.Error("no offer at all: taken in")
	}
	if len(o.known()) != 0 {
		t.Errorf("known %v", o.known())
	}
}

func TestOffersAreRememberedAcrossARestartWhileTheyHold(t *testing.T) {
	at := now
	o := index(&at)
	o.file = filepath.Join(t.TempDir(), "offers")
	for name, life := range map[string]time.Duration{"short": time.Minute, "long": 5 * time.Minute} {
		id, signed := offer(t, name, 1, 100, func(of *marketv1.Offer) { of.ExpiresMs = now.Add(life).UnixMilli() })
		if _, err := o.add(id, signed); err != nil {
			t.Fatal(err)
		}
	}
	o.save()
	at = at.Add(2 * time.Minute)
	again := index(&at)
	again.file = o.file
	again.recall()
	all := again.known()
	if len(all) != 1 || all[0].Worker != sessiontest.Peer(t, sessiontest.Key("long")) || !all[0].Seen.Equal(now) {
		t.Errorf("remembered %v", all)
	}
	if err := os.WriteFile(o.file, []byte("\xffnot ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := index(&at)
	broken.file = o.file
	if broken.recall(); len(broken.known()) != 0 {
		t.Error("offers were read from a broken file")
	}
}
