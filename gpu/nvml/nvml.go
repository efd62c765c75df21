// Package nvml reads and sets NVIDIA devices through rigmesh-nvml, a process of
// its own: NVIDIA's library can hang or end the process that calls it. Nothing
// here waits for a driver longer than a context or a bound allows.
package nvml

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/pci"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// Errors a caller decides on.
var (
	// ErrNoDriver: this machine has no NVIDIA driver that answers.
	ErrNoDriver = errors.New("no NVIDIA driver")
	// ErrOldDriver: the driver is too old to be read.
	ErrOldDriver = errors.New("NVIDIA driver too old")
	// ErrNoDevice: the driver has no such device, or it is gone.
	ErrNoDevice = errors.New("no such device")
	// ErrHang: the driver did not answer in time.
	ErrHang = errors.New("the driver does not answer")
	// ErrResidue: what a tenant left in the device's memory was not all cleared.
	ErrResidue = errors.New("memory not cleared")
)

// Bounds of one answer. A server with eight cards and no persistence mode takes
// some seconds to wake them all.
const (
	inventoryTimeout = 20 * time.Second
	setTimeout       = 20 * time.Second
	scrubTimeout     = 60 * time.Second
)

// Config is what a Client is made with.
type Config struct {
	Helper string        // path of rigmesh-nvml
	Root   string        // the host's file system; empty: "/"
	Period time.Duration // between two samples; 0: a second
	Now    func() time.Time
	Log    *slog.Logger

	// Env is added to the helper's environment; tests tell it what to be.
	Env []string
}

// Client talks to the driver. Every method starts a process of its own, so that
// one that hangs keeps no other waiting. Safe for concurrent use.
type Client struct {
	cfg   Config
	start func() (*process, error)
}

// New makes a Client. It starts nothing.
func New(cfg Config) *Client {
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if cfg.Period == 0 {
		cfg.Period = time.Second
	}
	c := &Client{cfg: cfg}
	c.start = func() (*process, error) { return startProcess(cfg.Helper, cfg.Env) }
	return c
}

// Inventory is what this machine has: what the driver says, held against what the
// PCI bus and the kernel module say. A machine without a driver is no error: its
// inventory has the problem, and the cards that are there all the same.
func (c *Client) Inventory(ctx context.Context) (gpu.Inventory, error) {
	cards, err := pci.Cards(c.cfg.Root)
	if err != nil {
		return gpu.Inventory{}, err
	}
	module, loaded := pci.NVIDIAModule(c.cfg.Root)
	seen := bus{cards: cards, module: module, loaded: loaded}
	if !seen.has(pci.NVIDIA) && !loaded {
		return seen.without(nil), nil // nothing to ask
	}
	ctx, cancel := context.WithTimeout(ctx, inventoryTimeout)
	defer cancel()
	reply, err := c.ask(ctx, &nvmlv1.Request{Want: &nvmlv1.Request_Inventory{Inventory: &nvmlv1.InventoryRequest{}}})
	if err != nil {
		return seen.without(err), nil
	}
	return seen.with(reply.GetInventory()), nil
}

// SetPowerLimit sets the power limit of a card in milliwatts; 0: the card's default.
// ErrNoDevice, ErrHang.
func (c *Client) SetPowerLimit(ctx context.Context, uuid string, milliwatts uint32) error {
	ctx, cancel := context.WithTimeout(ctx, setTimeout)
	defer cancel()
	want := &nvmlv1.PowerLimitRequest{Uuid: uuid, Milliwatts: milliwatts}
	if _, err := c.ask(ctx, &nvmlv1.Request{Want: &nvmlv1.Request_PowerLimit{PowerLimit: want}}); err != nil {
		return fmt.Errorf("limit the power of %s to %d W: %w", uuid, milliwatts/1000, err)
	}
	return nil
}

// CDI is a Container Device Interface specification, as JSON, of every device by
// its UUID and of the driver's files, without hooks.
func (c *Client) CDI(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, inventoryTimeout)
	defer cancel()
	want := &nvmlv1.CDIRequest{DriverRoot: c.cfg.Root}
	reply, err := c.ask(ctx, &nvmlv1.Request{Want: &nvmlv1.Request_Cdi{Cdi: want}})
	if err != nil {
		return nil, fmt.Errorf("describe devices for containers: %w", err)
	}
	return reply.GetCdi().GetJson(), nil
}

// unclearable is how much of the free memory may be left over: a remainder in
// pieces smaller than the driver's pages, and CUDA's own.
const unclearable = 64 * gpu.MiB

// Scrub overwrites the free memory of a device, so that a tenant finds nothing of
// the one before. Nobody else may use the device meanwhile: what they hold is not
// cleared. Success means that every step succeeded and all but a remainder smaller
// than 64 MiB was overwritten. ErrResidue, ErrHang.
func (c *Client) Scrub(ctx context.Context, uuid string) error {
	ctx, cancel := context.WithTimeout(ctx, scrubTimeout)
	defer cancel()
	want := &nvmlv1.ScrubRequest{Uuid: uuid}
	reply, err := c.ask(ctx, &nvmlv1.Request{Want: &nvmlv1.Request_Scrub{Scrub: want}})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrResidue, err)
	}
	did := reply.GetScrubbed()
	if did.GetFreeBytes() == 0 || did.GetClearedBytes()+unclearable < did.GetFreeBytes() {
		return fmt.Errorf("%w: %s of %s free on %s", ErrResidue,
			gpu.FormatVRAM(did.GetClearedBytes()), gpu.FormatVRAM(did.GetFreeBytes()), uuid)
	}
	return nil
}

// ask starts a helper, asks it one thing, and ends it.
func (c *Client) ask(ctx context.Context, req *nvmlv1.Request) (*nvmlv1.Reply, error) {
	p, err := c.start()
	if err != nil {
		return nil, err
	}
	defer p.end()
	if err := p.send(req); err != nil {
		return nil, err
	}
	for {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, ErrHang
			}
			return nil, ctx.Err()
		case reply, ok := <-p.replies:
			switch {
			case !ok:
				return nil, p.last()
			case reply.GetError() != nil:
				return nil, sentinel(reply.GetError())
			case reply.GetAlive() == nil:
				return reply, nil
			}
		}
	}
}

// sentinel is the helper's error as one a caller can decide on.
func sentinel(e *nvmlv1.Error) error {
	kinds := map[nvmlv1.Error_Code]error{
		nvmlv1.Error_CODE_NO_DRIVER: ErrNoDriver, nvmlv1.Error_CODE_OLD_DRIVER: ErrOldDriver,
		nvmlv1.Error_CODE_NO_DEVICE: ErrNoDevice, nvmlv1.Error_CODE_LOST: ErrNoDevice,
	}
	if kind, ok := kinds[e.Code]; ok {
		return fmt.Errorf("%w: %s", kind, e.Text)
	}
	return errors.New(e.Text)
}
