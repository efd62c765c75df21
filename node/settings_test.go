package node

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/rigmesh/rigmesh/node/config"
)

func TestSettingsAreWhatTheNodeGoesByNow(t *testing.T) {
	cfg := config.Default(t.TempDir())
	cfg.Name, cfg.Price = "attic", 350_000
	n := &Node{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	of := func(name string) string {
		all := owned{n}.Settings()
		return all[slices.IndexFunc(all, func(v [2]string) bool { return v[0] == name })][1]
	}
	if of("price.floor") != "0.35" || of("name") != "attic" {
		t.Errorf("started with %v", owned{n}.Settings())
	}
	cfg.Price, cfg.Every.Power, cfg.Name = 400_000, 250_000, "cellar"
	if err := n.apply(cfg); err != nil {
		t.Fatal(err)
	}
	if of("price.floor") != "0.40" || of("lend.watts") != "250" {
		t.Errorf("changed to %v", owned{n}.Settings())
	}
	if of("name") != "attic" {
		t.Errorf("its name counts at the next start, and is %q", of("name"))
	}
}
