package node

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/simulated"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/keeper"
	"github.com/rigmesh/rigmesh/p2p"
)

// Machine is the devices of this machine, and the way to them.
type Machine struct {
	Devices []gpu.Device
	Source  keeper.Source
	Cards   worker.Cards // nil: they need nothing before a tenant
}

// openMachine finds the devices that this node lends. busy says how much a
// simulated one has to do.
func (n *Node) openMachine(busy func(uuid string) float64) (*Machine, error) {
	if n.parts.Machine != nil {
		return n.parts.Machine, nil
	}
	if n.cfg.SimulateGPU == "" {
		c, err := n.openCards()
		if err != nil {
			return nil, err
		}
		return &Machine{Devices: c.devices(), Source: c, Cards: c}, nil
	}
	return simulatedMachine(n.cfg, n.key, n.now, busy)
}

func simulatedMachine(cfg config.Config, key ed25519.PrivateKey, now func() time.Time, busy func(string) float64) (*Machine, error) {
	made, err := simulated.Make(cfg.SimulateGPU, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	source, err := simulated.NewSource(made, now, busy, simulatedLimits(filepath.Join(cfg.DataDir, "simulated-cards")))
	if err != nil {
		return nil, err
	}
	return &Machine{Devices: made.Devices, Source: source}, nil
}

// simulatedLimits is the file in which simulated cards keep their power limits,
// as real ones do in themselves: whatever happens to the node.
type simulatedLimits string

// Load implements simulated.Limits.
func (f simulatedLimits) Load() (map[string]uint32, error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var set map[string]uint32
	return set, json.Unmarshal(b, &set)
}

// Save implements simulated.Limits.
func (f simulatedLimits) Save(set map[string]uint32) error {
	b, err := json.Marshal(set)
	if err != nil {
		return err
	}
	return journal.WriteFile(string(f), append(b, '\n'))
}

// CardsDir is where the keeper remembers what it changed about the devices.
func CardsDir(dataDir string) string { return filepath.Join(dataDir, "cards") }

func cardsFile(dataDir string) string { return filepath.Join(CardsDir(dataDir), "changed.json") }

// CardsChanged says whether a node changed anything about the devices of this machine
// that is not put back.
func CardsChanged(dataDir string) bool { return keeper.Changed(cardsFile(dataDir)) }

// RestoreCards puts back what a node that is gone changed about the devices of
// this machine.
func RestoreCards(ctx context.Context, cfg config.Config) error {
	if !CardsChanged(cfg.DataDir) {
		return nil
	}
	key, err := p2p.LoadKey(filepath.Join(cfg.DataDir, "identity.key"))
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	n := &Node{cfg: cfg, key: key, log: slog.Default(), parts: Parts{Now: time.Now}}
	m, err := n.openMachine(func(string) float64 { return 0 })
	if err != nil {
		return err
	}
	return keeper.Restore(ctx, cardsFile(cfg.DataDir), m.Source)
}
