package p2ptest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"sync"
	"testing"

	"github.com/rigmesh/rigmesh/p2p"
)

// Loopback makes n real hosts on 127.0.0.1, TCP and QUIC. They know the first
// one as their bootstrap peer, but connect only when told to or Run. They are
// closed when the test ends.
func Loopback(t testing.TB, n int) []*p2p.Host {
	t.Helper()
	var hosts []*p2p.Host
	for i := range n {
		cfg := Config(t)
		if i > 0 {
			cfg.Bootstrap = hosts[0].Addrs()
		}
		hosts = append(hosts, New(t, cfg))
	}
	return hosts
}

// Config is a fresh identity on 127.0.0.1.
func Config(t testing.TB) p2p.Config {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return p2p.Config{
		Key:     key,
		Network: Network,
		Listen:  []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"},
		Log:     slog.New(slog.DiscardHandler),
	}
}

// New makes one host, closed when the test ends.
func New(t testing.TB, cfg p2p.Config) *p2p.Host {
	t.Helper()
	h, err := p2p.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close host: %v", err)
		}
	})
	return h
}

// Runner is a part with a blocking Run.
type Runner interface{ Run(context.Context) error }

// Run runs parts until the test ends, and waits for them then.
func Run(t testing.TB, parts ...Runner) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Errorf("run %T: %v", p, err)
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
}
