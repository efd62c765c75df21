// Package crowd runs many nodes' part in gossip in one process, on a simulated network
// and in virtual time: real libp2p, real gossip, the real rules about announcements,
// and nothing else of a node. It measures what reaches whom, when, and at what cost,
// also under attack.
package crowd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/node/announce"
	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/discovery"
	"github.com/rigmesh/rigmesh/p2p/gossip"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	latency = 20 * time.Millisecond // one way, between any two
	mbps    = 100                   // each direction, of everybody
	degree  = 10                    // connections that each newcomer makes
	tier    = "24g"
)

// Crowd is a network of members.
type Crowd struct {
	t     *testing.T
	net   *simnet.Simnet
	dice  *mrand.Rand
	next  int // address
	sent  meter
	Alive []*Member

	split      discovery.Spread // of the tier over topics
	rendezvous bool             // members of a topic find each other through the hash table
}

// Member is one node's part in gossip.
type Member struct {
	c      *Crowd
	key    ed25519.PrivateKey
	host   *p2p.Host
	board  *announce.Board
	cancel context.CancelFunc
	done   chan struct{}
	born   time.Time

	mu     sync.Mutex
	heard  map[statement.Hash]time.Time
	judged map[peer.ID]time.Time // when something of a peer was last looked at
	seq    uint64
}

// New makes an empty crowd. It is called inside a p2ptest.Bubble.
func New(t *testing.T, seed uint64) *Crowd {
	c := &Crowd{t: t, dice: mrand.New(mrand.NewPCG(seed, 1))}
	c.net = &simnet.Simnet{Logger: slog.New(slog.DiscardHandler), LatencyFunc: simnet.StaticLatency(latency)}
	c.net.Start()
	t.Cleanup(c.net.Close)
	return c
}

// conduct is how a member judges what comes: nil is by the rules.
type conduct func(from peer.ID, data []byte) gossip.Verdict

// Join adds n members that keep the rules, each connected to some that were there.
func (c *Crowd) Join(n int) []*Member {
	c.t.Helper()
	var all []*Member
	for range n {
		m := c.make(nil)
		m.meet(c.pick(degree)...)
		c.Alive = append(c.Alive, m)
		all = append(all, m)
	}
	return all
}

// pick chooses n members by chance, each once.
func (c *Crowd) pick(n int) []*Member {
	out := make([]*Member, 0, n)
	for _, i := range c.dice.Perm(len(c.Alive)) {
		if len(out) == n {
			break
		}
		out = append(out, c.Alive[i])
	}
	return out
}

func (c *Crowd) make(rules conduct) *Member {
	c.t.Helper()
	m := &Member{
		c: c, key: c.key(), done: make(chan struct{}), born: time.Now(),
		heard: map[statement.Hash]time.Time{}, judged: map[peer.ID]time.Time{},
	}
	m.host = c.host(m.key, c.address())
	var found gossip.Config
	if c.rendezvous {
		d, err := discovery.New(m.host, discovery.Config{Exempt: []netip.Prefix{}})
		if err != nil {
			c.t.Fatal(err)
		}
		found.Rendezvous = d
		c.run(c.t, m.host, d)
	}
	r, err := gossip.New(m.host, found)
	if err != nil {
		c.t.Fatal(err)
	}
	m.board = announce.New(announce.Config{
		Router: r, Network: p2ptest.Network, Now: time.Now, Judge: m.judge(rules),
		Self: m.host.ID(), Spread: func() discovery.Spread { return c.split },
	})
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		defer close(m.done)
		_ = m.board.Hear(ctx, tier, m)
	}()
	c.t.Cleanup(m.leave)
	return m
}

func (c *Crowd) key() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	return key
}

// address is a fresh address of its own network.
func (c *Crowd) address() netip.Addr {
	c.next++
	a, _ := netip.AddrFromSlice(simnet.IntToPublicIPv4(c.next).To4())
	return a
}

// host makes a host on the simulated network.
func (c *Crowd) host(key ed25519.PrivateKey, at netip.Addr) *p2p.Host {
	c.t.Helper()
	private, _, err := crypto.KeyPairFromStdKey(&key)
	if err != nil {
		c.t.Fatal(err)
	}
	line := simnet.LinkSettings{BitsPerSecond: mbps * simlibp2p.OneMbps}
	lh, err := libp2p.New(
		libp2p.Identity(private),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", at)),
		simlibp2p.QUICSimnet(c.net, simnet.NodeBiDiLinkSettings{Downlink: line, Uplink: line}),
		libp2p.BandwidthReporter(&c.sent),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
	)
	if err != nil {
		c.t.Fatal(err)
	}
	h, err := p2p.Wrap(lh, p2p.Config{Network: p2ptest.Network, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = h.Close() })
	return h
}

// run runs a host and its part in the hash table until the test ends.
func (c *Crowd) run(t *testing.T, h *p2p.Host, d *discovery.Discovery) { p2ptest.Run(t, h, d) }

// judge notes whose messages are looked at, and puts a member's own conduct in the
// place of the rules.
func (m *Member) judge(rules conduct) func(peer.ID, []byte, func() gossip.Verdict) gossip.Verdict {
	return func(from peer.ID, data []byte, lawful func() gossip.Verdict) gossip.Verdict {
		m.mu.Lock()
		m.judged[from] = time.Now()
		m.mu.Unlock()
		if rules != nil {
			return rules(from, data)
		}
		return lawful()
	}
}

// meet connects a member to others.
func (m *Member) meet(others ...*Member) {
	m.c.t.Helper()
	for _, o := range others {
		p2ptest.Introduce(m.c.t, m.host, o.host)
		if err := m.host.Connect(context.Background(), o.host.ID()); err != nil {
			m.c.t.Log("connect:", err)
		}
	}
}

// leave ends a member.
func (m *Member) leave() {
	m.cancel()
	<-m.done
	_ = m.host.Close()
}

// Announced notes when an announcement came.
func (m *Member) Announced(a announce.Announcement) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard[a.Hash()] = time.Now()
}

// Withdrawn is of no interest here.
func (m *Member) Withdrawn(announce.Withdrawal) {}

// announce makes one announcement and tells its hash.
func (m *Member) announce() (statement.Hash, error) {
	signed, err := m.sign()
	if err != nil {
		return statement.Hash{}, err
	}
	return m.publish(signed, 0)
}

// publish tells the members of one of the topics that this one speaks to.
func (m *Member) publish(signed *marketv1.Signed, wider int) (statement.Hash, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := m.board.Publish(ctx, tier, signed, wider)
	return statement.HashPayload(string(statement.TypeAnnouncement), signed.Payload), err
}

func (m *Member) sign() (*marketv1.Signed, error) {
	m.seq++
	record, err := m.host.PeerRecord()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	id, _ := job.NewID(rand.Reader)
	return statement.Sign(m.key, statement.TypeAnnouncement, &marketv1.Announcement{
		Version: 1, Network: p2ptest.Network, Requester: m.key.Public().(ed25519.PublicKey), JobId: id[:], Sequence: m.seq,
		IssuedMs: now.UnixMilli(), ExpiresMs: now.Add(30 * time.Second).UnixMilli(),
		Gpu: &marketv1.Requirement{Count: 1, VramBytes: 24 << 30}, Resources: &marketv1.Resources{CpuMillis: 1000, MemoryBytes: 1 << 30, Pids: 64},
		ImageDigest: "sha256:" + fmt.Sprintf("%064x", m.seq), Platform: "linux/amd64", ImageBytes: 1 << 30,
		MaxPrice: 500_000, MaxDurationMs: time.Hour.Milliseconds(), PeerRecord: record,
	})
}
