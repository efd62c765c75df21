// Package sim runs whole nodes in one process, on a simulated network and in
// virtual time: real libp2p, real journals and blobs on disk, tasks in memory.
package sim

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/node"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
)

// Machine is one simulated machine. Its data directory and its runtime survive
// the node that runs on it.
type Machine struct {
	*node.Node
	t       *testing.T
	cfg     config.Config
	key     ed25519.PrivateKey
	Runtime runtimetest.Memory
	cancel  context.CancelFunc
	done    chan error
}

// Setting is what differs between machines.
type Setting struct {
	GPUs  string        // "rtx-4090:2"; empty: a machine that only rents
	Price uint64        // micro-credits per GPU-hour
	Grace time.Duration // the longest silence; 0: the default
}

// Network makes one machine for each setting, connected through the first, and
// starts their nodes. It is called inside a p2ptest.Bubble.
func Network(t *testing.T, link p2ptest.Link, settings ...Setting) []*Machine {
	t.Helper()
	hosts := p2ptest.Simulated(t, len(settings), link)
	machines := make([]*Machine, len(settings))
	for i, s := range settings {
		machines[i] = newMachine(t, hosts[i], s)
		machines[i].Start(hosts[i])
	}
	return machines
}

func newMachine(t *testing.T, h *p2p.Host, s Setting) *Machine {
	raw, err := h.Libp2p().Peerstore().PrivKey(h.ID()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default(t.TempDir())
	cfg.Network, cfg.SimulateGPU, cfg.Worker = p2ptest.Network, s.GPUs, s.GPUs != ""
	if s.Price > 0 {
		cfg.Price = s.Price
	}
	if s.Grace > 0 {
		cfg.AbsentGrace = s.Grace
	}
	return &Machine{t: t, cfg: cfg, key: ed25519.PrivateKey(raw), Runtime: runtimetest.New()}
}

// Start runs a node on this machine, over a host with the machine's identity.
func (m *Machine) Start(h *p2p.Host) {
	m.t.Helper()
	n, err := node.New(m.cfg, node.Parts{
		Now: time.Now, Host: h, Key: m.key, Runtime: m.Runtime, NoControl: true, Version: "sim",
		Log: slog.New(slog.NewTextHandler(m.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", fmt.Sprint(h.ID())[46:]),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.Node, m.cancel, m.done = n, cancel, make(chan error, 1)
	go func() { m.done <- n.Run(ctx) }()
	m.t.Cleanup(m.Stop)
}

// Stop ends the node and leaves the machine's data and tasks as they are.
func (m *Machine) Stop() {
	if m.cancel == nil {
		return
	}
	m.cancel()
	if err := <-m.done; err != nil {
		m.t.Errorf("node: %v", err)
	}
	m.cancel = nil
}
