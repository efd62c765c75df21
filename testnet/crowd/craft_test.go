package crowd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/discovery"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/testnet/figure"
)

// Somebody makes ids that lie closer to a key than any honest one, and keeps nothing
// that is put there. Whoever looks still finds the offer: under the tier's key when the
// filter of addresses holds, or else under that of the tier below.
func TestCraftedIDsBesideAKeyHideNobody(t *testing.T) {
	p2ptest.Bubble(t, func(t *testing.T) {
		c := New(t, 7)
		var tables []*discovery.Discovery
		var honest []*p2p.Host
		for range size(10, 30) {
			h := c.host(c.key(), c.address())
			d, err := discovery.New(h, discovery.Config{Exempt: []netip.Prefix{}})
			if err != nil {
				t.Fatal(err)
			}
			c.run(t, h, d)
			tables, honest = append(tables, d), append(honest, h)
		}
		attackers := c.besiege(t, size(16, 100), "vram/24g/0")
		introduce(t, honest, attackers)
		time.Sleep(time.Minute)
		synctest.Wait()
		atKey, found, tries := 0, 0, 0
		for worker := range size(2, 20) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			w, looker := worker%len(tables), (worker+5)%len(tables)
			for _, key := range []string{"vram/24g/0", "vram/16g/0", "vram/12g/0"} {
				if err := tables[w].Provide(ctx, key); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Log("provide:", err)
				}
			}
			tries++
			for i, key := range []string{"vram/24g/0", "vram/16g/0", "vram/12g/0"} {
				if finds(ctx, tables[looker], key, honest[w].ID()) {
					found++
					if i == 0 {
						atKey++
					}
					break
				}
			}
			cancel()
		}
		t.Logf("%d crafted ids of 4 subnets beside one key, among %d honest: the offer was found %d of %d times, %d times under that key itself",
			len(attackers), len(honest), found, tries, atKey)
		keep(t, figure.Figure{Experiment: "offers found beside crafted ids", Nodes: len(honest), Reached: float64(found) / float64(tries)})
		if found*100 < 95*tries {
			t.Errorf("found %d of %d times", found, tries)
		}
	})
}

func finds(ctx context.Context, d *discovery.Discovery, key string, id peer.ID) bool {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for p := range d.Find(ctx, key, 0) {
		if p.ID == id {
			return true
		}
	}
	return false
}

// besiege makes hosts whose ids lie beside a key. They answer the hash table's questions
// and forget what they are told.
func (c *Crowd) besiege(t *testing.T, n int, key string) []*p2p.Host {
	at := sha256.Sum256(discovery.Locate(p2ptest.Network, key).Hash())
	var out []*p2p.Host
	for i := range n {
		h := c.host(closeTo(t, at), subnet(i))
		d, err := dht.New(h.Libp2p(), dht.Mode(dht.ModeServer), dht.ProtocolPrefix(protocol.ID("/rigmesh/"+p2ptest.Network)),
			dht.DisableValues(), dht.ProviderManagerOpts(records.ProvideValidity(time.Nanosecond)))
		if err != nil {
			t.Fatal(err)
		}
		h.OnClose(func() { _ = d.Close() })
		out = append(out, h)
	}
	return out
}

// closeTo makes a key whose id shares its first ten bits with a place.
func closeTo(t *testing.T, at [32]byte) ed25519.PrivateKey {
	for {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		private, _, _ := crypto.KeyPairFromStdKey(&key)
		id, _ := peer.IDFromPrivateKey(private)
		sum := sha256.Sum256([]byte(id))
		if sum[0] == at[0] && (sum[1]^at[1])>>6 == 0 {
			return key
		}
	}
}

// subnet puts attackers into four /16 networks.
func subnet(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{99, byte(i % 4), byte(i / 250), byte(1 + i%250)})
}

// introduce connects everybody honest in a chain of chance, and attackers to all of them.
func introduce(t *testing.T, honest, attackers []*p2p.Host) {
	for i, h := range honest[1:] {
		p2ptest.Connect(t, h, honest[i])
		p2ptest.Connect(t, h, honest[i/2])
	}
	for i, a := range attackers {
		p2ptest.Connect(t, a, honest[i%len(honest)])
		p2ptest.Connect(t, a, honest[(i+3)%len(honest)])
	}
}
