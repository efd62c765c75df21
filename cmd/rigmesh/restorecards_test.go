package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/gpu/simulated"
	"github.com/rigmesh/rigmesh/node"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p"
)

// A worker that put everything back itself holds its lock while it waits for this process.
func TestNobodyWaitsWhereThereIsNothingToPutBack(t *testing.T) {
	cfg := config.Default(t.TempDir())
	release, err := control.Lock(node.CardsDir(cfg.DataDir))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := putBack(t.Context(), cfg); err != nil || time.Since(began) > 0 {
			t.Errorf("waited %s, %v", time.Since(began), err)
		}
	})
}

// The files of a killed worker close one after the other, and its lock is one of them.
func TestSettingsArePutBackThoughTheKilledWorkerHoldsItsLockForAMoment(t *testing.T) {
	cfg := config.Default(t.TempDir())
	cfg.SimulateGPU = "rtx-4090"
	dir := node.CardsDir(cfg.DataDir)
	release, err := control.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(dir, "changed.json")
	key, err := p2p.LoadKey(filepath.Join(cfg.DataDir, "identity.key"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := simulated.Make(cfg.SimulateGPU, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(changed, fmt.Appendf(nil, `{%q:{"before_mw":450000,"now_mw":250000}}`, made.Devices[0].UUID), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		go func() { ended <- putBack(t.Context(), cfg) }()
		synctest.Wait()
		release()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
	if b, err := os.ReadFile(changed); err != nil || strings.Contains(string(b), "before_mw") {
		t.Errorf("still to be put back: %s (%v)", b, err)
	}
}
