// Package p2p is a node's end of the peer-to-peer network: identity, listening,
// dialling, and staying connected. It knows nothing of jobs.
//
// The network's name is part of every protocol id, so two networks never mix
// even when their nodes meet.
package p2p

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// DefaultNetwork is the network's name when none is configured.
const DefaultNetwork = "main"

// Config says who a host is, where it listens and whom it knows.
type Config struct {
	// Key is the node's identity. Wrap takes it from the wrapped host instead.
	Key ed25519.PrivateKey
	// Network is a name of at most 32 characters of a-z, 0-9 and "-";
	// empty means DefaultNetwork.
	Network string
	// Version goes into the user agent that peers see.
	Version string
	// Listen are multiaddrs. Empty means every IPv4 interface, a free TCP port
	// and a free UDP port for QUIC; Addrs says which were chosen.
	Listen []string
	// Bootstrap are multiaddrs ending in /p2p/ID.
	Bootstrap []string
	// MaxConns is the number of connections above which the least useful are
	// closed, down to three quarters of it. 0 means 400.
	MaxConns int
	// ConnsPerIP bounds connections from one public address; a miner has many
	// rigs behind one. 0 means 64. Loopback is never bounded.
	ConnsPerIP int
	// MapPorts asks the router, by UPnP or NAT-PMP, to forward our ports.
	MapPorts bool
	// MDNS looks for nodes on the local networks, and answers those that look.
	MDNS bool
	// RelayBytes is what a connection between two others that runs through us may
	// carry each way. We relay only when strangers can reach us. 0: never.
	RelayBytes int64
	// PSK is the key of a private network: nobody without it gets to say a word. It
	// runs over TCP alone.
	PSK []byte
	// Log is required.
	Log *slog.Logger
}

// Host is a libp2p host on one network.
type Host struct {
	host      host.Host
	key       crypto.PrivKey
	network   string
	bootstrap []peer.AddrInfo
	log       *slog.Logger
	alone     chan struct{} // nudges Run
	reach     *reach        // nil for hosts built elsewhere
	quicOnly  *quicOnly     // nil without QUIC
	mdns      bool
	maxConns  int

	mu      sync.Mutex
	lookup  Lookup
	closers []func()
	closed  bool

	unnotify func()
}

// New starts listening. It waits for nothing and dials nobody: Run does.
func New(cfg Config) (*Host, error) {
	cfg = cfg.withDefaults()
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("use identity key: %w", err)
	}
	r := newReach(cfg.Log)
	if cfg.MapPorts && !onLoopback(cfg.Listen) {
		r.mapper = &portMapper{}
	}
	gate := &quicOnly{peers: map[peer.ID]bool{}}
	opts, err := options(cfg, key, r, gate)
	if err != nil {
		return nil, err
	}
	// Everything that can be wrong in the configuration is found before a
	// socket is opened.
	if _, err := check(cfg); err != nil {
		return nil, err
	}
	lh, err := libp2p.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("start libp2p host: %w", err)
	}
	h, err := Wrap(lh, cfg)
	if err != nil {
		return nil, errors.Join(err, lh.Close())
	}
	for _, watch := range []func(host.Host) (func(), error){r.watch, r.puncher.watch} {
		stop, err := watch(lh)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("watch how we are reached: %w", err), h.Close())
		}
		h.OnClose(stop)
	}
	h.reach = r
	if cfg.PSK == nil {
		h.quicOnly = gate
	}
	return h, nil
}

// Wrap makes a Host of a libp2p host that was built elsewhere, for simulated
// networks. It owns lh from then on. Config's Key, Listen and limits do not apply.
func Wrap(lh host.Host, cfg Config) (*Host, error) {
	cfg = cfg.withDefaults()
	bootstrap, err := check(cfg)
	if err != nil {
		return nil, err
	}
	key := lh.Peerstore().PrivKey(lh.ID())
	if key == nil {
		return nil, errors.New("wrap libp2p host: its peerstore lacks its private key")
	}
	h := &Host{
		host:      lh,
		key:       key,
		network:   cfg.Network,
		bootstrap: bootstrap,
		log:       cfg.Log,
		alone:     make(chan struct{}, 1),
		mdns:      cfg.MDNS,
		maxConns:  cfg.MaxConns,
	}
	h.watchDisconnects()
	return h, nil
}

func (c Config) withDefaults() Config {
	if c.Network == "" {
		c.Network = DefaultNetwork
	}
	if c.MaxConns == 0 {
		c.MaxConns = 400
	}
	if c.ConnsPerIP == 0 {
		c.ConnsPerIP = 64
	}
	if len(c.Listen) == 0 {
		c.Listen = []string{"/ip4/0.0.0.0/tcp/0"}
		if c.PSK == nil {
			c.Listen = append(c.Listen, "/ip4/0.0.0.0/udp/0/quic-v1")
		}
	}
	return c
}

var networkName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// check reports every problem at once.
func check(c Config) ([]peer.AddrInfo, error) {
	var errs []error
	if !networkName.MatchString(c.Network) {
		errs = append(errs, fmt.Errorf("network name %q: want 1 to 32 characters of a-z, 0-9 and -", c.Network))
	}
	if c.Log == nil {
		errs = append(errs, errors.New("no logger given"))
	}
	if c.MaxConns < 8 {
		errs = append(errs, fmt.Errorf("at most %d connections: a node needs at least 8", c.MaxConns))
	}
	if c.PSK != nil && len(c.PSK) != pskSize {
		errs = append(errs, fmt.Errorf("key of a private network: %d bytes, want %d", len(c.PSK), pskSize))
	}
	if c.PSK != nil && slices.ContainsFunc(c.Listen, func(a string) bool { return strings.Contains(a, "/udp/") }) {
		errs = append(errs, fmt.Errorf("listen on %s: a private network runs over TCP alone", strings.Join(c.Listen, " ")))
	}
	bootstrap, err := bootstrapPeers(c.Bootstrap)
	return bootstrap, errors.Join(append(errs, err)...)
}

// bootstrapPeers reads multiaddrs that end in /p2p/ID.
func bootstrapPeers(texts []string) ([]peer.AddrInfo, error) {
	var errs []error
	var addrs []ma.Multiaddr
	for _, s := range texts {
		a, err := ma.NewMultiaddr(s)
		if err == nil {
			_, err = peer.AddrInfoFromP2pAddr(a)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("bootstrap address %q: %w", s, err))
			continue
		}
		addrs = append(addrs, a)
	}
	peers, err := peer.AddrInfosFromP2pAddrs(addrs...)
	return peers, errors.Join(append(errs, err)...)
}

// ID is the node's name on the network, made from its public key.
func (h *Host) ID() peer.ID { return h.host.ID() }

// Network is the name that keeps this network apart from others.
func (h *Host) Network() string { return h.network }

// Addrs are the addresses others can try, each ending in /p2p/ID, those that lead
// here from farthest away first.
func (h *Host) Addrs() []string {
	self := ma.StringCast("/p2p/" + h.ID().String())
	var out []string
	for _, a := range farthestFirst(h.host.Addrs()) {
		out = append(out, a.Encapsulate(self).String())
	}
	return out
}

// Peers are those connected now.
func (h *Host) Peers() []peer.ID { return h.host.Network().Peers() }

// Bootstrap are the peers to start from.
func (h *Host) Bootstrap() []peer.AddrInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.bootstrap)
}

// Join adds peers to start from, as multiaddrs ending in /p2p/ID, and has Run
// dial them soon. Those known already are no error.
func (h *Host) Join(addrs ...string) error {
	peers, err := bootstrapPeers(addrs)
	if err != nil {
		return err
	}
	h.mu.Lock()
	for _, p := range peers {
		known := slices.ContainsFunc(h.bootstrap, func(b peer.AddrInfo) bool { return b.ID == p.ID })
		if known {
			h.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.TempAddrTTL)
			continue
		}
		h.bootstrap = append(h.bootstrap, p)
	}
	h.mu.Unlock()
	select {
	case h.alone <- struct{}{}:
	default:
	}
	return nil
}

// PeerAddrs are addresses of the peers connected now, one for each that we
// dialled or that told us where it listens, in the form that Join takes.
func (h *Host) PeerAddrs() []string {
	var out []string
	for _, id := range h.Peers() {
		for _, a := range h.host.Peerstore().Addrs(id) {
			if isRelayed(a) {
				continue // its place at a relay does not last
			}
			if full, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{a}}); err == nil {
				out = append(out, full[0].String())
			}
		}
	}
	return out
}

// Protocol is the full id of one of our stream protocols.
func (h *Host) Protocol(name string) protocol.ID {
	return protocol.ID("/rigmesh/" + h.network + "/" + name + "/1")
}

// Topic is the full name of one of our gossip topics.
func (h *Host) Topic(name string) string {
	return "/rigmesh/" + h.network + "/" + name
}

// Libp2p is the host underneath, for the packages below this one.
func (h *Host) Libp2p() host.Host { return h.host }

// Log is the logger the host was made with.
func (h *Host) Log() *slog.Logger { return h.log }

// OnClose has f called by Close before the connections go; the last one added
// is called first. After Close it is called at once.
func (h *Host) OnClose(f func()) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		f()
		return
	}
	h.closers = append(h.closers, f)
	h.mu.Unlock()
}

// Close ends everything that was built on the host, then its connections.
func (h *Host) Close() error {
	h.mu.Lock()
	closers := h.closers
	wasClosed := h.closed
	h.closers, h.closed = nil, true
	h.mu.Unlock()
	if wasClosed {
		return nil
	}
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
	h.unnotify()
	return h.host.Close()
}

// watchDisconnects nudges Run when a peer leaves that is missed: it may have been the last one.
// Among many somebody always leaves, and peers that are away would be dialled all the time.
func (h *Host) watchDisconnects() {
	n := &network.NotifyBundle{DisconnectedF: func(network.Network, network.Conn) {
		if len(h.Peers()) >= enoughPeers {
			return
		}
		select {
		case h.alone <- struct{}{}:
		default:
		}
	}}
	h.host.Network().Notify(n)
	h.unnotify = func() { h.host.Network().StopNotify(n) }
}

// RTT is the smoothed round-trip time to a peer, 0 when it was never measured.
func (h *Host) RTT(id peer.ID) time.Duration {
	return h.host.Peerstore().LatencyEWMA(id)
}
