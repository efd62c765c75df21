package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rigmesh/rigmesh/gpu/simulated"
	"github.com/rigmesh/rigmesh/node"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p"
)

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
