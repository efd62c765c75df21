package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/cdi"
	"github.com/rigmesh/rigmesh/gpu/nvml"
	"github.com/rigmesh/rigmesh/runtime"
)

// NoCardsError says why this machine has no GPU to lend.
type NoCardsError struct{ Inventory gpu.Inventory }

// Error names every reason, and every card that is there all the same.
func (e *NoCardsError) Error() string {
	var why []string
	for _, p := range e.Inventory.Problems {
		why = append(why, p.Text)
	}
	for _, d := range e.Inventory.Devices {
		if d.Fault != gpu.FaultNone {
			why = append(why, fmt.Sprintf("%s %s: %s", d.Model, d.UUID, d.FaultText))
		}
	}
	for _, o := range e.Inventory.Others {
		why = append(why, fmt.Sprintf("%s card at %s: %s", o.Vendor, o.PCI.Address, o.Reason))
	}
	return "no GPU to lend: " + strings.Join(why, "; ")
}

// Remedy is what to do first.
func (e *NoCardsError) Remedy() string {
	for _, p := range e.Inventory.Problems {
		return p.Remedy
	}
	return "see the kernel's log for NVRM and Xid; a reboot may be needed"
}

// openCards finds this machine's NVIDIA devices. NoCardsError when none can be lent.
func (n *Node) openCards() (*cards, error) {
	helper, err := nvmlHelper(n.path("helpers"))
	if err != nil {
		return nil, fmt.Errorf("the program that reads GPUs: %w", err)
	}
	c := &cards{
		root: n.parts.hostRoot(), log: n.log,
		Client: nvml.New(nvml.Config{Helper: helper, Root: n.parts.hostRoot(), Now: n.now, Log: n.log}),
	}
	if c.inventory, err = c.Inventory(context.Background()); err != nil {
		return nil, fmt.Errorf("look for GPUs: %w", err)
	}
	if len(c.inventory.Lendable()) == 0 {
		return nil, &NoCardsError{c.inventory}
	}
	for _, p := range c.inventory.Problems {
		n.log.Warn("GPUs: "+p.Text, "remedy", p.Remedy)
	}
	for _, o := range c.inventory.Others {
		n.log.Info("a GPU that is not lent", "pci", o.PCI.Address, "vendor", o.Vendor, "why", o.Reason)
	}
	return c, nil
}

// hostRoot is the file system in which drivers and devices are looked for.
func (p Parts) hostRoot() string {
	if p.HostRoot == "" {
		return "/"
	}
	return p.HostRoot
}

// cards are this machine's NVIDIA devices, and what tasks need of its driver.
type cards struct {
	*nvml.Client
	inventory gpu.Inventory
	root      string
	log       *slog.Logger
	watch     watch
}

// devices are those that the owner sees and sets prices for: a card that is cut
// into slices is lent as these.
func (c *cards) devices() []gpu.Device {
	var out []gpu.Device
	for _, d := range c.inventory.Devices {
		if !d.MIG.Enabled {
			out = append(out, d)
		}
	}
	return out
}

// Prepare clears devices and says what a task needs to use them.
func (c *cards) Prepare(ctx context.Context, uuids []string) (runtime.Devices, error) {
	var clearing sync.WaitGroup
	errs := make([]error, len(uuids))
	for i, uuid := range uuids {
		clearing.Go(func() { errs[i] = c.clear(ctx, uuid) })
	}
	edits, err := c.edits(ctx, uuids)
	clearing.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return runtime.Devices{}, err
	}
	return runtime.Devices{Nodes: files(edits.Nodes), Files: files(edits.Files), Env: edits.Env}, nil
}

// clear overwrites a device's memory. One that cannot be is out of service.
func (c *cards) clear(ctx context.Context, uuid string) error {
	err := c.Scrub(ctx, uuid)
	if err != nil && ctx.Err() == nil {
		c.watch.fail(gpu.Change{UUID: uuid, Fault: gpu.FaultMemory, Text: err.Error()})
	}
	return err
}

// Watch implements keeper.Source.
func (c *cards) Watch(ctx context.Context, devices []gpu.Device, w gpu.Watcher) error {
	c.watch.begin(w)
	return c.Client.Watch(ctx, devices, &c.watch)
}

// watch tells a watcher what the driver says and what is found here, one thing at a
// time. A device that could not be cleared stays out of service, whatever the driver says.
type watch struct {
	mu     sync.Mutex
	to     gpu.Watcher // nil before the watch began
	failed map[string]bool
}

func (w *watch) begin(to gpu.Watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to, w.failed = to, map[string]bool{}
}

func (w *watch) fail(c gpu.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to != nil {
		w.failed[c.UUID] = true
		w.to.Changed(c)
	}
}

// Samples implements gpu.Watcher.
func (w *watch) Samples(samples []gpu.Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to.Samples(samples)
}

// Changed implements gpu.Watcher.
func (w *watch) Changed(c gpu.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Fault != gpu.FaultNone || !w.failed[c.UUID] {
		w.to.Changed(c)
	}
}

// edits takes the owner's own specification where there is one, and the driver's otherwise.
func (c *cards) edits(ctx context.Context, uuids []string) (cdi.Edits, error) {
	edits, found, err := cdi.Existing(c.root, uuids)
	if found || err != nil {
		c.log.Debug("devices as /etc/cdi says", "left out", edits.Left)
		return edits, err
	}
	spec, err := c.CDI(ctx)
	if err != nil {
		return cdi.Edits{}, err
	}
	return cdi.Generated(spec, uuids)
}

func files(from []cdi.File) []runtime.File {
	to := make([]runtime.File, len(from))
	for i, f := range from {
		to[i] = runtime.File(f)
	}
	return to
}
