package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/node/keeper"
)

// taskLoad is how much a simulated device has to do while somebody holds it.
const taskLoad = 0.94

// cardsTimeout is how long the process that puts settings back after a crash is
// waited for.
const cardsTimeout = 90 * time.Second

// makeKeeper finds the devices and puts them under their owner's rules.
func (n *Node) makeKeeper() error {
	if err := n.lockCards(); err != nil {
		return err
	}
	m, err := n.openMachine(n.simulatedLoad)
	if err != nil {
		return err
	}
	n.cards = m.Cards
	if n.devices, err = gpu.NewReservations(m.Devices); err != nil {
		return fmt.Errorf("devices: %w", err)
	}
	rules, err := n.cfg.Rules()
	if err != nil {
		return err
	}
	n.input = &input{now: n.parts.wall(), wanted: func() bool { return n.keeper.IdleOnly() }, log: n.log}
	n.keeper, err = keeper.New(keeper.Config{
		Devices: m.Devices, Books: n.devices, Source: m.Source, Rules: rules, Word: n.path("cards", "word.json"),
		File: cardsFile(n.cfg.DataDir), Now: n.now, Wall: n.parts.wall(), Guard: n.watchdog, Input: n.input.used, Log: n.log,
	})
	return err
}

// wall is the clock on the wall, which the hours of a week are in.
func (p Parts) wall() func() time.Time {
	if p.Wall != nil {
		return p.Wall
	}
	return time.Now
}

// lockCards makes this process the one that changes settings of the devices. One
// that puts back what a killed node changed has them for a moment.
func (n *Node) lockCards() error {
	ctx, cancel := context.WithTimeout(context.Background(), cardsTimeout)
	defer cancel()
	dir := CardsDir(n.cfg.DataDir)
	release, err := control.Lock(dir)
	var locked *control.LockedError
	if errors.As(err, &locked) {
		if err = control.AwaitGone(ctx, dir); err == nil {
			release, err = control.Lock(dir)
		}
	}
	if err != nil {
		return fmt.Errorf("settings of the devices: %w", err)
	}
	n.releaseCards = release
	return os.MkdirAll(dir, 0o700)
}

// simulatedLoad is how much a simulated device has to do.
func (n *Node) simulatedLoad(uuid string) float64 {
	if n.devices == nil || n.devices.Holder(uuid) == "" {
		return 0
	}
	return taskLoad
}

// ownProcesses is a runtime that knows which processes of the host are a task's.
type ownProcesses interface {
	Processes(ctx context.Context, id string) ([]uint32, error)
}

// processes are those of a lease's task.
func (n *Node) processes(ctx context.Context, lease string) ([]uint32, bool) {
	r, ok := n.parts.Runtime.(ownProcesses)
	if !ok {
		return nil, false
	}
	own, err := r.Processes(ctx, worker.TaskID(lease))
	return own, err == nil
}
