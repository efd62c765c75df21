package node

import (
	"context"
	"fmt"
	"strings"

	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/runtime"
)

// daemon is what a runtime with a process of its own has beside running tasks.
type daemon interface {
	// Open finds or starts the process and cleans up what a killed one left.
	Open(context.Context) error
	// Close lets go of the process; it runs on.
	Close() error
	// Shutdown ends the process, unless a task still runs.
	Shutdown(context.Context) error
}

// makeWorker makes this node lend its devices, when it is meant to.
func (n *Node) makeWorker() error {
	if !n.cfg.Worker {
		return nil
	}
	err := n.makeKeeper()
	if err != nil {
		return err
	}
	if n.parts.Runtime == nil {
		if n.parts.Runtime, err = n.newRuntime(); err != nil {
			return fmt.Errorf("runtime: %w", err)
		}
	}
	machine, err := measure(n.cfg.DataDir)
	if err != nil {
		return fmt.Errorf("measure this machine: %w", err)
	}
	clocks, err := readClocks()
	if err != nil {
		return fmt.Errorf("read this machine's clocks: %w", err)
	}
	n.worker = worker.New(worker.Config{
		Key: n.key, Network: n.cfg.Network, Machine: machine, Devices: n.devices, Cards: n.cards, Telemetry: n.keeper,
		Policy: worker.Policy{
			MaxDuration: n.cfg.MaxDuration, MaxAbsentGrace: n.cfg.AbsentGrace, Notice: n.cfg.Notice, Serves: n.cfg.Serves,
			MinDuration: n.cfg.Market.MinDuration, Region: n.cfg.Market.Region, StampBits: n.cfg.Market.StampBits, Access: n.cfg.Egress,
			Images: market.Images{
				MaxBytes: n.cfg.Images.MaxBytes, MaxLayers: uint32(n.cfg.Images.MaxLayers), Allow: n.cfg.Images.Allow, Deny: n.cfg.Images.Deny,
			},
			Strangers: market.Strangers{Leases: n.cfg.StrangerLeases, Budget: n.cfg.StrangerBudget},
		},
		Boot: clocks.Boot,
		Dir:  n.path("tasks"), Room: n.taskRoom, SamplesDir: n.path("samples"), Now: n.now, Slept: n.parts.Slept, Runtime: n.parts.Runtime, Journal: n.guard,
		Peers: workerSide{n}, Folders: n.folders(), Commons: n.commons, Registry: n.registry(), Swarm: n.images, Receipts: countedReceipts{n.receipts, n.standing}, Standing: n.standing, Crowd: n.crowd, Log: n.log,
	})
	n.keeper.Serve(n.worker, n.processes)
	n.worker.Drain(!n.keeper.Lends())
	return nil
}

// openRuntime makes the runtime ready and removes tasks of leases nobody remembers.
func (n *Node) openRuntime(ctx context.Context) error {
	rt := n.parts.Runtime
	if d, ok := rt.(daemon); ok {
		if err := d.Open(ctx); err != nil {
			return fmt.Errorf("start containerd: %w", err)
		}
	}
	all, err := rt.List(ctx)
	if err != nil {
		return fmt.Errorf("list tasks: %w", err)
	}
	for _, id := range n.worker.Orphans(all) {
		n.log.Info("removing a task that belongs to no lease", "task", id)
		if err := rt.Remove(ctx, id); err != nil {
			n.log.Warn("remove task", "task", id, "err", err)
		}
	}
	return nil
}

// closeRuntime lets go of the runtime. With no task running its process goes too: a lease
// that never began, or whose task is over, needs none.
func (n *Node) closeRuntime(ctx context.Context) {
	d, ok := n.parts.Runtime.(daemon)
	if !ok {
		return
	}
	running, err := n.runningTasks(ctx)
	if err == nil && running == 0 {
		if err := d.Shutdown(ctx); err != nil {
			n.log.Warn("stop containerd", "err", err)
		}
		return
	}
	n.log.Info("tasks go on without this node; they are taken up again at the next start", "tasks", running, "err", err)
	if err := d.Close(); err != nil {
		n.log.Warn("let go of containerd", "err", err)
	}
}

// runningTasks counts the tasks that have not ended.
func (n *Node) runningTasks(ctx context.Context) (int, error) {
	all, err := n.parts.Runtime.List(ctx)
	running := 0
	for _, t := range all {
		if t.State != runtime.Exited {
			running++
		}
	}
	return running, err
}

// hostPrefix is this node's mark on everything it makes on its host.
func (n *Node) hostPrefix() string {
	id := n.ID()
	return strings.ToLower(id[len(id)-10:])
}
