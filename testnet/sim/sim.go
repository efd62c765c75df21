// Package sim runs whole nodes in one process, on a simulated network and in
// virtual time: real libp2p, real journals and blobs on disk, tasks in memory.
package sim

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/p2ptest"
	"github.com/rigmesh/rigmesh/runtime/runtimetest"
)

// Machine is one simulated machine. Its data directory, its address and its
// runtime survive the node that runs on it.
type Machine struct {
	*node.Node
	Runtime runtimetest.Memory
	Host    *p2p.Host // of the node that runs now

	t       *testing.T
	wires   *wires
	number  int
	cfg     config.Config
	key     ed25519.PrivateKey
	seals   uint64
	files   journal.FS
	devices *node.Machine
	images  worker.Registry
	quiet   bool
	cancel  context.CancelFunc
	done    chan error
	over    chan struct{} // closed when the node has ended by itself or was stopped
}

// Setting is what differs between machines.
type Setting struct {
	GPUs  string        // "rtx-4090:2"; empty: a machine that only rents
	Price uint64        // micro-credits per GPU-hour
	Grace time.Duration // the longest silence; 0: the default
	Seals uint64        // squarings asked of workers for each minute of an interval; 0: no seals
	Files journal.FS    // where the journal lives; nil: on disk
	// Machine has the devices, instead of GPUs; Owner is what its owner set.
	Machine *node.Machine
	Owner   func(*config.Config)
	// Registry has public images; nil: none is reached.
	Registry worker.Registry
	Quiet    bool // says nothing: what a test says is kept until its end
}

// Network makes one machine for each setting, connected through the first, and
// starts their nodes. It is called inside a p2ptest.Bubble.
func Network(t *testing.T, settings ...Setting) []*Machine {
	t.Helper()
	w := newWires(t)
	machines := make([]*Machine, len(settings))
	for i, s := range settings {
		machines[i] = newMachine(t, w, i, s)
		machines[i].Start()
	}
	return machines
}

func newMachine(t *testing.T, w *wires, number int, s Setting) *Machine {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default(t.TempDir())
	cfg.Network, cfg.SimulateGPU, cfg.Worker = p2ptest.Network, s.GPUs, s.GPUs != "" || s.Machine != nil
	if s.Price > 0 {
		cfg.Price = s.Price
	}
	if s.Grace > 0 {
		cfg.AbsentGrace = s.Grace
	}
	if s.Owner != nil {
		s.Owner(&cfg)
	}
	return &Machine{t: t, devices: s.Machine, wires: w, number: number, cfg: cfg, key: key, seals: s.Seals, files: s.Files, Runtime: runtimetest.New(t), images: s.Registry, quiet: s.Quiet}
}

// Start runs a node on this machine.
func (m *Machine) Start() {
	m.t.Helper()
	h := m.wires.host(m.number, m.key)
	n, err := node.New(m.cfg, node.Parts{
		Now: time.Now, Host: h, Key: m.key, Runtime: m.Runtime.Reopen(), NoControl: true, Version: "sim", Log: m.log(h),
		SealRate: m.seals, Journal: m.files, Machine: m.devices, Registry: m.images,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.Host = h
	m.Node, m.cancel, m.done, m.over = n, cancel, make(chan error, 1), make(chan struct{})
	over, done := m.over, m.done
	go func() {
		done <- n.Run(ctx)
		close(over)
	}()
	m.t.Cleanup(m.Stop)
}

func (m *Machine) log(h *p2p.Host) *slog.Logger {
	if m.quiet {
		return slog.New(slog.DiscardHandler)
	}
	text := slog.NewTextHandler(m.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})
	return slog.New(text).With("node", fmt.Sprint(h.ID())[46:])
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

// Crash ends the node as a power cut would: no word of its end gets out. Its journal is in
// files from now on.
func (m *Machine) Crash(files journal.FS) {
	m.Cut()
	m.cancel()
	<-m.done // whatever it says: its journal may have failed
	m.cancel, m.files = nil, files
	m.Mend()
}

// Failed is closed when the node has ended, by itself or not.
func (m *Machine) Failed() <-chan struct{} { return m.over }

// Cut takes the machine off the network. Its node notices nothing but silence.
func (m *Machine) Cut() { m.wires.set(m.number, true, true) }

// Mend puts it back.
func (m *Machine) Mend() { m.wires.set(m.number, false, false) }

// Deafen loses all that is sent to the machine. It is still heard.
func (m *Machine) Deafen() { m.wires.set(m.number, false, true) }

// LoseEverywhere makes every line of the network lose a share of its packets, from 0 to 1.
func (m *Machine) LoseEverywhere(share float64) { m.wires.lose(share) }
