package p2p

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
)

// newConnGrace spares a fresh connection from trimming until it could become useful.
const newConnGrace = 30 * time.Second

// punchTimeout bounds one attempt to connect through two NATs, and the plain dial
// before it. libp2p makes three attempts.
const punchTimeout = 3 * time.Second

// options turns a Config into libp2p's options. TLS comes before Noise: it is
// the faster of the two.
func options(cfg Config, key crypto.PrivKey, r *reach, gate *quicOnly) ([]libp2p.Option, error) {
	conns, err := connmgr.NewConnManager(cfg.MaxConns*3/4, cfg.MaxConns, connmgr.WithGracePeriod(newConnGrace))
	if err != nil {
		return nil, fmt.Errorf("limit connections to %d: %w", cfg.MaxConns, err)
	}
	resources, err := resourceManager(cfg)
	if err != nil {
		return nil, err
	}
	version := cfg.Version
	if version == "" {
		version = "dev"
	}
	opts := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.UserAgent("rigmesh/" + version),
		libp2p.ListenAddrStrings(cfg.Listen...),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(tls.ID, tls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.ConnectionManager(conns),
		libp2p.ResourceManager(resources),
		libp2p.SwarmOpts(swarm.WithDialRanker(rankTCPFirst)),
		// Or a hundred failed attempts to reach one peer that is away would end QUIC, and so punching, to all.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.DisableMetrics(),
		// Peers are asked to dial us, and we dial them when asked. The older AutoNAT
		// is not served: its answer is one for all addresses together.
		libp2p.EnableAutoNATv2(),
		libp2p.AddrsFactory(r.advertise),
		libp2p.ConnectionGater(gate),
		libp2p.EnableHolePunching(holepunch.WithTracer(r), holepunch.DirectDialTimeout(punchTimeout), r.puncher.capture),
	}
	opts = append(opts, relayOptions(r, cfg.RelayBytes, cfg.ConnsPerIP)...)
	if cfg.PSK != nil {
		opts = append(opts, libp2p.PrivateNetwork(cfg.PSK)) // QUIC cannot be sealed with it
	} else {
		opts = append(opts, libp2p.Transport(quic.NewTransport))
	}
	if r.mapper != nil {
		opts = append(opts, libp2p.NATManager(r.mapper.make()))
	}
	return opts, nil
}

// resourceManager raises libp2p's limits where they would cut honest nodes:
// it allows 8 connections per IPv4 address, and on a small machine fewer
// inbound connections than our own connection manager keeps.
func resourceManager(cfg Config) (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	conns := rcmgr.LimitVal(2 * cfg.MaxConns)
	streams := rcmgr.LimitVal(32 * cfg.MaxConns)
	// Many streams of one protocol from one peer is the normal case here: our
	// own limits per peer are in p2p/stream, with an answer the peer understands.
	peerStreams := rcmgr.LimitVal(1024)
	perPeer := rcmgr.ResourceLimits{StreamsInbound: peerStreams, StreamsOutbound: peerStreams, Streams: 2 * peerStreams}
	concrete := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: conns, ConnsInbound: conns, ConnsOutbound: conns,
			Streams: streams, StreamsInbound: streams, StreamsOutbound: streams,
		},
		Transient:           rcmgr.ResourceLimits{Conns: conns / 2, ConnsInbound: conns / 2, ConnsOutbound: conns / 2},
		PeerDefault:         perPeer,
		ProtocolPeerDefault: perPeer,
	}.Build(limits.AutoScale())
	rm, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(concrete),
		rcmgr.WithConnRateLimiters(connRate(cfg.ConnsPerIP)),
		rcmgr.WithNetworkPrefixLimit(
			[]rcmgr.NetworkPrefixLimit{{Network: netip.MustParsePrefix("127.0.0.0/8"), ConnCount: math.MaxInt}},
			[]rcmgr.NetworkPrefixLimit{{Network: netip.MustParsePrefix("::1/128"), ConnCount: math.MaxInt}},
		),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: cfg.ConnsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: cfg.ConnsPerIP}, {PrefixLength: 48, ConnCount: 8 * cfg.ConnsPerIP}},
		),
	)
	if err != nil {
		return nil, fmt.Errorf("set resource limits: %w", err)
	}
	return rm, nil
}

// connRate bounds new connections in time. libp2p lets 16 in from one address, and
// then one in five seconds: of twenty rigs that start together, some would wait for
// minutes to meet anybody.
func connRate(perIP int) *rate.Limiter {
	one := rate.Limit{RPS: float64(perIP) / 16, Burst: 4 * perIP}
	many := rate.Limit{RPS: float64(perIP) / 2, Burst: 32 * perIP}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: one}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: one}, {PrefixLength: 48, Limit: many}},
			GracePeriod:      time.Minute,
		},
	}
}
