package sim

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
)

const (
	latency = 20 * time.Millisecond // one way, between any two machines
	mbps    = 100                   // each direction, of every machine
	never   = 10_000 * time.Hour    // when what a cut line swallowed arrives
)

// wires is the simulated network. Unlike p2ptest's its hosts can come back under
// the same identity and address, and their lines can be cut.
type wires struct {
	t         *testing.T
	net       *simnet.Simnet
	bootstrap []string

	mu   sync.Mutex
	dumb map[string]bool // by IP: nothing it sends arrives
	deaf map[string]bool // nothing sent to it arrives
	lost float64         // share of the packets that never arrive, of all lines
	dice *rand.Rand
}

func newWires(t *testing.T) *wires {
	w := &wires{t: t, dumb: map[string]bool{}, deaf: map[string]bool{}, dice: rand.New(rand.NewPCG(1, 2))}
	w.net = &simnet.Simnet{Logger: slog.New(slog.DiscardHandler), LatencyFunc: w.latency}
	w.net.Start()
	t.Cleanup(w.net.Close)
	return w
}

func (w *wires) latency(p *simnet.Packet) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dumb[ip(p.From)] || w.deaf[ip(p.To)] || w.dice.Float64() < w.lost {
		return never
	}
	return latency
}

func ip(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

func address(machine int) string { return simnet.IntToPublicIPv4(machine).String() }

// set cuts a machine's line in each direction, or mends it.
func (w *wires) set(machine int, dumb, deaf bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dumb[address(machine)], w.deaf[address(machine)] = dumb, deaf
}

// lose makes every line lose a share of its packets, either way.
func (w *wires) lose(share float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = share
}

// host makes a machine's host, always at the same address. The first machine's
// is the bootstrap of all others.
func (w *wires) host(machine int, key ed25519.PrivateKey) *p2p.Host {
	w.t.Helper()
	private, _, err := crypto.KeyPairFromStdKey(&key)
	if err != nil {
		w.t.Fatal(err)
	}
	line := simnet.LinkSettings{BitsPerSecond: mbps * simlibp2p.OneMbps}
	lh, err := libp2p.New(
		libp2p.Identity(private),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", address(machine))),
		simlibp2p.QUICSimnet(w.net, simnet.NodeBiDiLinkSettings{Downlink: line, Uplink: line}),
		libp2p.DisableIdentifyAddressDiscovery(), // it would never let a bubble come to rest
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.UDPBlackHoleSuccessCounter(nil), // as p2p has it
	)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := p2p.Config{Network: p2ptest.Network, Log: slog.New(slog.DiscardHandler)}
	if machine > 0 {
		cfg.Bootstrap = w.bootstrap
	}
	h, err := p2p.Wrap(lh, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = h.Close() })
	if machine == 0 {
		w.bootstrap = h.Addrs()
	}
	return h
}
