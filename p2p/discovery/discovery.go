// Package discovery finds peers by capability: who provides "vram/24g/0"?
//
// The distributed hash table holds rendezvous only, never content: under a key
// stand the peers that said they are there, for half an hour since they last
// said so.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multihash"

	"github.com/rigmesh/rigmesh/p2p"
)

// How long a provider record counts, and how often it is renewed. They are the
// same on every node of a network: the default of 48 hours keeps the dead.
const (
	Validity  = 30 * time.Minute
	Republish = 10 * time.Minute
)

// ErrAlone says that we know no other node of the table yet. Provide is tried
// again by Run.
var ErrAlone = errors.New("no other node of the network known yet")

// Config tunes a Discovery. The zero value is good.
type Config struct {
	// Exempt are address ranges whose peers are never too many for the routing
	// table; nil means LocalRanges. An empty, non-nil list exempts nobody.
	Exempt []netip.Prefix
}

// Discovery is a host's part in the hash table.
type Discovery struct {
	h   *p2p.Host
	dht *dht.IpfsDHT
	log *slog.Logger

	mu      sync.Mutex
	keys    map[string]time.Time // provided, and when to say so again
	changed chan struct{}        // nudges Run
}

// New attaches the table to a host and answers others' questions from then on.
// It also becomes the host's way to look up peers. It ends with the host.
func New(h *p2p.Host, cfg Config) (*Discovery, error) {
	if cfg.Exempt == nil {
		cfg.Exempt = LocalRanges
	}
	table, err := dht.New(h.Libp2p(),
		// Auto would stay a client where no public address was confirmed, as on
		// loopback and in a LAN, and then nobody could provide anything.
		dht.Mode(dht.ModeAutoServer),
		dht.ProtocolPrefix(protocol.ID("/rigmesh/"+h.Network())),
		dht.ProviderManagerOpts(records.ProvideValidity(Validity), records.ProviderAddrTTL(Validity)),
		dht.DisableValues(),
		dht.RoutingTablePeerDiversityFilter(newDiversity(h.Libp2p(), cfg.Exempt)),
		// No query or table filter for private addresses: a LAN without the
		// internet is a network too. In a larger one they are not passed on.
		dht.AddressFilter(h.Publishable),
		dht.BootstrapPeersFunc(h.Bootstrap),
	)
	if err != nil {
		return nil, fmt.Errorf("start hash table: %w", err)
	}
	d := &Discovery{
		h: h, dht: table, log: h.Log(),
		keys:    make(map[string]time.Time),
		changed: make(chan struct{}, 1),
	}
	h.UseLookup(d.FindPeer)
	h.OnClose(func() {
		if err := table.Close(); err != nil {
			d.log.Debug("hash table not closed cleanly", "err", err)
		}
	})
	return d, nil
}

// Find yields peers that provide a key as they are found, this node left out.
// It ends after limit of them, when the search is over, or with ctx; limit 0
// means all. The addresses of a peer may be empty: Host.Connect looks them up.
func (d *Discovery) Find(ctx context.Context, key string, limit int) iter.Seq[peer.AddrInfo] {
	return func(yield func(peer.AddrInfo) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		want := limit
		if want > 0 {
			want++ // our own record takes a place
		}
		found := d.dht.FindProvidersAsync(ctx, d.cid(key), want)
		n := 0
		for p := range found {
			if p.ID == d.h.ID() {
				continue
			}
			if n++; !yield(p) || n == limit {
				break
			}
		}
		cancel()
		for range found { // lets the search end before we return
		}
	}
}

// FindPeer looks up a peer's current addresses.
func (d *Discovery) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	info, err := d.dht.FindPeer(ctx, id)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("find peer %s: %w", id, err)
	}
	return info, nil
}

// Known is how many nodes the routing table holds.
func (d *Discovery) Known() int { return d.dht.RoutingTable().Size() }

// Population estimates how many nodes the network has. ok is false while too
// little was seen for an estimate.
func (d *Discovery) Population() (n int, ok bool) {
	size, err := d.dht.NetworkSize()
	return int(size), err == nil
}

// cid is where a key lives: hashed, so that keys spread evenly over the nodes.
func (d *Discovery) cid(key string) cid.Cid { return Locate(d.h.Network(), key) }

// Locate is where a key of a network lives in the table.
func Locate(network, key string) cid.Cid {
	mh, err := multihash.Sum([]byte("/rigmesh/"+network+"/"+key), multihash.SHA2_256, -1)
	if err != nil {
		panic(err) // SHA-256 is always there
	}
	return cid.NewCidV1(cid.Raw, mh)
}
