package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"time"

	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/node/metrics"
)

const (
	// slowStop is when a part that does not come back is named in the log, with stacks.
	slowStop = 15 * time.Second
	// closeTimeout bounds letting go of the runtime.
	closeTimeout = 30 * time.Second
)

// part is one thing that runs while the node does.
type part struct {
	name string
	run  func(context.Context) error
}

// running is a started part.
type running struct {
	part
	cancel context.CancelFunc
	done   chan struct{}
}

// Run runs the node until ctx ends, Shutdown is called, or a part fails. The
// node is closed afterwards, and cannot be run again.
func (n *Node) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.close()) }()
	if n.worker != nil {
		defer n.letGo(ctx) // also of what was only half started
		if err := n.openRuntime(ctx); err != nil {
			return err
		}
	}
	n.serve()
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	failed := make(chan error, 1)
	var started []running
	defer func() {
		for i := len(started) - 1; i >= 0; i-- {
			started[i].stop(n.log)
		}
	}()
	// In this order, and stopped in reverse: nobody is answered on the control
	// socket before there is a market, or after.
	parts, err := n.running()
	if err != nil {
		return err
	}
	for _, p := range parts {
		started = append(started, p.start(life, failed))
	}
	n.log.Info("node is up", "peer", n.ID(), "addrs", n.Addrs(), "worker", n.worker != nil)
	waiting, giveUp := context.WithCancel(ctx)
	defer giveUp()
	stopped := make(chan struct{})
	go func() { n.waitStop(waiting); close(stopped) }()
	select {
	case <-stopped:
		return nil
	case err := <-failed:
		return err
	}
}

// running lists the parts of this node.
func (n *Node) running() ([]part, error) {
	parts := []part{
		{"journal", n.watchJournal},
		{"network", n.host.Run},
		{"discovery", n.discovery.Run},
		{"index of offers", n.offers.keep},
		{"requester", n.requester.Run},
		{"shared content", n.commons.run},
	}
	if n.worker != nil {
		parts = append(parts, part{"worker", n.worker.Run}, part{"devices", n.keeper.Run}, part{"offers", n.lend}, part{"shared images", n.images.run})
	}
	parts = append(parts, part{"clean-up", n.collectGarbage}, part{"peers", n.rememberPeers}, part{"folding of seals", n.foldSeals})
	if n.parts.NoControl {
		return parts, nil
	}
	if n.worker != nil {
		parts = append(parts, part{"input", n.input.run})
	}
	l, err := control.Listen(n.cfg.DataDir, n.log)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	srv := control.New(control.Config{
		DataDir: n.cfg.DataDir, Version: n.parts.Version, Jobs: jobs{n}, Blobs: uploads{n.store},
		Offers: n.offers, Receipts: n.receipts, Leases: n, Market: why{n}, Tasks: tasks{n}, Ports: taskPorts{n}, Stats: taskStats{n}, Freezer: freezer{n}, Sharing: n.commons, Node: n, Owner: owned{n}, Reach: n, Log: n.log,
	})
	parts = append(parts, part{"control", func(ctx context.Context) error { return srv.Serve(ctx, l) }})
	if n.cfg.Metrics != "" {
		parts = append(parts, part{"metrics", func(ctx context.Context) error {
			return metrics.Serve(ctx, metrics.Config{
				Addr: n.cfg.Metrics, DataDir: n.cfg.DataDir, Version: n.parts.Version, Devices: owned{n}.Devices, Log: n.log,
			})
		}})
	}
	if n.cfg.IdleExit > 0 {
		parts = append(parts, part{"idle exit", func(ctx context.Context) error {
			if srv.WaitIdle(ctx, n.cfg.IdleExit, func() bool { return n.busy() || len(n.commons.shares.List()) > 0 }) == nil {
				n.log.Info("idle: ending", "after", n.cfg.IdleExit)
				n.Shutdown(false)
			}
			return nil
		}})
	}
	return parts, nil
}

// watchJournal ends the node when its journal takes no more records: it could promise
// nothing any more. Tasks go on, and are taken up again by a node that can.
func (n *Node) watchJournal(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.journal.Broken():
		return n.journal.Err()
	}
}

func (p part) start(ctx context.Context, failed chan<- error) running {
	ctx, cancel := context.WithCancel(ctx)
	r := running{part: p, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		err := p.run(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		select {
		case failed <- fmt.Errorf("%s: %w", p.name, err):
		default: // the first failure is the one that counts
		}
	}()
	return r
}

// stop ends a part and waits for it; one that takes long is named.
func (r running) stop(log *slog.Logger) {
	r.cancel()
	timer := time.NewTimer(slowStop)
	defer timer.Stop()
	select {
	case <-r.done:
		return
	case <-timer.C:
		buf := make([]byte, 1<<20)
		buf = buf[:goruntime.Stack(buf, true)]
		log.Warn("a part takes long to stop", "part", r.name, "stacks", string(buf))
	}
	<-r.done
}

// letGo leaves the runtime as it should be without us.
func (n *Node) letGo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	n.closeRuntime(ctx)
}
