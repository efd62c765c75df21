//go:build linux

package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/gpu/nvml/nvmltest"
	"github.com/rigmesh/rigmesh/node/config"
)

func TestMain(m *testing.M) { nvmltest.Main(m) }

// cardsOf is what a node finds on a host whose driver is go-nvml's mock of eight A100.
func cardsOf(t *testing.T, host *gputest.Host) (*cards, error) {
	t.Helper()
	t.Setenv("RIGMESH_HELPERS", filepath.Dir(nvmltest.Helper(t)))
	t.Setenv("RIGMESH_TEST_MACHINE", "dgxa100")
	t.Setenv("RIGMESH_TEST_FAULTS", filepath.Join(t.TempDir(), "faults"))
	n := &Node{cfg: config.Config{DataDir: t.TempDir()}, parts: Parts{Now: time.Now, HostRoot: host.Root}, log: slog.New(slog.DiscardHandler)}
	return n.openCards()
}

func a100s(t *testing.T, count int) *gputest.Host {
	t.Helper()
	host := gputest.NewHost(t)
	for i := range count {
		host.Card(fmt.Sprintf("0000:00/0000:00:%02x.0/0000:%02x:00.0", i+1, i+1), 0x10de, 0x20b0, "nvidia", nil)
	}
	return host
}

func TestANodeLendsTheCardsOfItsMachine(t *testing.T) {
	c, err := cardsOf(t, a100s(t, 8))
	if err != nil {
		t.Fatal(err)
	}
	devices := c.devices()
	if len(devices) != 8 || devices[0].Model != "a100-sxm4-40gb" || devices[0].Simulated || devices[0].Fault != gpu.FaultNone {
		t.Errorf("got %+v", devices)
	}
	if _, err := gpu.NewReservations(devices); err != nil {
		t.Error(err)
	}
}

func TestANodeWithoutCardsSaysWhatIsMissing(t *testing.T) {
	amd := gputest.NewHost(t)
	amd.Card("0000:00/0000:00:01.0/0000:03:00.0", 0x1002, 0x744c, "amdgpu", nil)
	other := gputest.NewHost(t)
	other.Card("0000:00/0000:00:01.0/0000:01:00.0", 0x10de, 0x1e04, "nvidia", nil) // an older card, which the mock calls an A100
	for name, c := range map[string]struct {
		host         *gputest.Host
		want, remedy string
	}{
		"nothing":         {gputest.NewHost(t), "no GPU to lend: the PCI bus has no GPU", "--simulate-gpu"},
		"another maker's": {amd, "AMD card at 0000:03:00.0: only NVIDIA's cards can be lent yet", "--simulate-gpu"},
		"a claimed one":   {other, "the driver calls the card at 0000:01:00.0 10de:20b0, the PCI bus 10de:1e04", "install"},
	} {
		_, err := cardsOf(t, c.host)
		var none *NoCardsError
		if !errors.As(err, &none) || !strings.Contains(err.Error(), c.want) || !strings.Contains(none.Remedy(), c.remedy) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// withDriver puts a driver's files into a host, and gives its CUDA so much memory and such faults.
func withDriver(t *testing.T, host *gputest.Host, cuda ...string) {
	t.Helper()
	for _, dir := range []string{"dev", "usr/lib/x86_64-linux-gnu"} {
		if err := os.MkdirAll(filepath.Join(host.Root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	library := filepath.Join(host.Root, "usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15")
	if err := os.WriteFile(library, []byte("\x7fELF"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]uint32{"nvidiactl": 255}
	for i := range uint32(8) {
		files[fmt.Sprintf("nvidia%d", i)] = i
	}
	for name, minor := range files {
		err := unix.Mknod(filepath.Join(host.Root, "dev", name), unix.S_IFCHR|0o666, int(unix.Mkdev(195, minor)))
		if errors.Is(err, unix.EPERM) {
			t.Skip("making device files takes root")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("RIGMESH_TEST_CUDA", nvmltest.CUDA(t))
	for _, variable := range cuda {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

// heard is a gpu.Watcher that keeps the changes.
type heard struct{ changes []gpu.Change }

func (h *heard) Samples([]gpu.Sample) {}
func (h *heard) Changed(c gpu.Change) { h.changes = append(h.changes, c) }

func TestACardIsClearedBeforeATaskGetsIt(t *testing.T) {
	host := a100s(t, 8)
	withDriver(t, host, "CUDA_FREE=3000")
	c, err := cardsOf(t, host)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Prepare(t.Context(), []string{c.devices()[2].UUID})
	if err != nil {
		t.Fatal(err)
	}
	var nodes []string
	for _, n := range got.Nodes {
		nodes = append(nodes, n.Target)
	}
	slices.Sort(nodes)
	if !slices.Equal(nodes, []string{"/dev/nvidia2", "/dev/nvidiactl"}) || len(got.Files) == 0 {
		t.Errorf("got %+v", got)
	}
}

func TestACardThatCannotBeClearedIsOutOfService(t *testing.T) {
	host := a100s(t, 8)
	withDriver(t, host, "CUDA_FREE=3000", "CUDA_LIE=set")
	c, err := cardsOf(t, host)
	if err != nil {
		t.Fatal(err)
	}
	uuid, h := c.devices()[2].UUID, &heard{}
	c.watch.begin(h)
	if _, err := c.Prepare(t.Context(), []string{uuid}); err == nil {
		t.Error("a task would start")
	}
	c.watch.Changed(gpu.Change{UUID: uuid}) // the driver is content with it
	if len(h.changes) != 1 || h.changes[0].UUID != uuid || h.changes[0].Fault != gpu.FaultMemory {
		t.Errorf("told %+v", h.changes)
	}
}
