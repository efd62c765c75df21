package node

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/config"
)

// keeping is as much of a node as keeps devices, by a clock of its own.
func keeping(t *testing.T, cfg config.Config, now func() time.Time, models ...string) *Node {
	t.Helper()
	devices := gputest.Machine(models...)
	machine := &Machine{Devices: devices, Source: gputest.NewFaulty(devices, now)}
	n := &Node{cfg: cfg, log: slog.New(slog.DiscardHandler), parts: Parts{Now: now, Machine: machine}}
	if err := n.makeKeeper(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.releaseCards)
	return n
}

func TestMemoryThatTheOwnerKeepsForNowTakesNoTierAway(t *testing.T) {
	cfg := config.Default(t.TempDir())
	cfg.Every.Reserve = 16 * gpu.GiB
	n := keeping(t, cfg, time.Now, "rtx-3090", "rtx-3090", "rtx-3080")
	tiers, classes := n.served()
	want := job.TiersServed(24 * gpu.GiB)
	if slices.Sort(want); !slices.Equal(tiers, want) {
		t.Errorf("tiers %v, want %v", tiers, want)
	}
	if len(classes) != len(want)+2 || !slices.Contains(classes, "model/rtx-3080") || !slices.Contains(classes, "vram/"+job.TierOf(24*gpu.GiB)) {
		t.Errorf("classes %v", classes)
	}
}
