//go:build linux

// Command gpu checks rigmesh on a machine with an NVIDIA card: what is read
// against nvidia-smi, samples under load, a job in a container with the card, what
// a tenant leaves, and what happens when the helper crashes or hangs. It changes no
// setting of a card. Without a card every row says so.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/nvml"
)

// limit bounds the whole check.
const limit = 9 * time.Minute

func main() {
	var c check
	flag.StringVar(&c.rigmesh, "rigmesh", "bin/rigmesh", "the `program` to check")
	flag.StringVar(&c.load, "load", "bin/gpu/load", "the `program` that works a card")
	flag.StringVar(&c.image, "image", "bin/gpu/load.tar", "OCI `archive` with that program in it")
	flag.StringVar(&c.helper, "helper", "bin/helpers/rigmesh-nvml", "the `program` that reads cards")
	out := flag.String("json", "gpu-check.json", "`file` for the results")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	failed, err := run(ctx, &c, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gpu: error:", err)
		os.Exit(1)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// check is one machine being checked.
type check struct {
	rigmesh, load, image, helper string

	client  *nvml.Client
	machine gpu.Inventory
	device  gpu.Device // the card that is worked
}

// rows are what is checked, in this order.
func (c *check) rows() []row {
	return []row{
		{"inventory is what nvidia-smi says", c.inventory},
		{"samples follow a load", c.samples},
		{"power and energy agree with nvidia-smi", c.energy},
		{"a job in a container has the card", c.job},
		{"its beats hold evidence", c.evidence},
		{"a foreign process is seen", c.foreign},
		{"a tenant's memory is cleared", c.residue},
		{"a crashed helper is replaced", c.crash},
		{"a stopped helper is replaced", c.hang},
	}
}

// run does every row and reports; failed is how many did not hold.
func run(ctx context.Context, c *check, out string) (failed int, err error) {
	if c.helper, err = filepath.Abs(c.helper); err != nil {
		return 0, err
	}
	c.client = nvml.New(nvml.Config{Helper: c.helper, Now: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if c.machine, err = c.client.Inventory(ctx); err != nil {
		return 0, err
	}
	r := report{Date: time.Now().UTC().Format(time.RFC3339), Driver: string(c.machine.Driver), CUDA: string(c.machine.CUDA)}
	lendable := c.machine.Lendable()
	if len(lendable) > 0 {
		c.device = lendable[0]
		r.Card = c.device.Name
	}
	for _, p := range c.machine.Problems {
		r.Problems = append(r.Problems, p.Code+": "+p.Text)
	}
	for _, row := range c.rows() {
		r.add(ctx, row, len(lendable) > 0)
	}
	r.print(os.Stdout)
	return r.failed(), r.write(out)
}
