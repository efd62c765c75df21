package nvml

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/gpu/nvml/nvmltest"
)

func TestMain(m *testing.M) { nvmltest.Main(m) }

// rig is a machine with a mocked driver, and a file of faults.
type rig struct {
	t      *testing.T
	host   *gputest.Host
	faults string
	config Config
	*Client
}

// newRig is a machine of go-nvml's, with as many cards of one product on its bus.
func newRig(t *testing.T, machine string, cards int, product uint16) *rig {
	t.Helper()
	r := &rig{t: t, host: gputest.NewHost(t), faults: filepath.Join(t.TempDir(), "faults")}
	for i := range cards {
		// Two cards a switch, as these servers have them.
		bus := 16 * (i/2 + 1)
		at := fmt.Sprintf("0000:%02x/0000:%02x:01.0/0000:%02x:00.0/0000:%02x:%02x.0/0000:%02x:00.0", bus, bus, bus+1, bus+2, i, i+1)
		r.host.Card(at, 0x10de, product, "nvidia", map[string]string{"class": "0x030200", "numa_node": fmt.Sprint(i / 4)})
	}
	r.config = Config{
		Helper: nvmltest.Helper(t), Root: r.host.Root, Period: 20 * time.Millisecond, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Env: []string{"RIGMESH_TEST_MACHINE=" + machine, "RIGMESH_TEST_FAULTS=" + r.faults},
	}
	r.Client = r.with()
	return r
}

// with is a client of the same machine whose helpers have more in their environment.
func (r *rig) with(env ...string) *Client {
	cfg := r.config
	cfg.Env = slices.Concat(cfg.Env, env)
	return New(cfg)
}

// dgxA100's product is the product that go-nvml's dgxa100 has.
func dgxA100(t *testing.T) *rig { return newRig(t, "dgxa100", 8, 0x20b0) }

// fault makes these the machine's faults from now on.
func (r *rig) fault(lines string) {
	r.t.Helper()
	// Replaced and not written over: the mock reads it at any moment.
	if err := os.WriteFile(r.faults+".new", []byte(lines), 0o644); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(r.faults+".new", r.faults); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) inventory() gpu.Inventory {
	r.t.Helper()
	v, err := r.Inventory(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}
