//go:build linux

package containerd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/daemon"
)

// BenchmarkTrue is from Start to the exit of a program that does nothing, everything warm.
// It also reports what the daemon then takes of memory.
func BenchmarkTrue(b *testing.B) {
	h := open(b)
	n := 0
	for b.Loop() {
		n++
		spec := runtime.Spec{ID: fmt.Sprintf("task-%d", n), Image: h.image, Command: []string{"true"}}
		if err := h.Start(b.Context(), spec); err != nil {
			b.Fatal(err)
		}
		if exit, err := h.Wait(b.Context(), spec.ID); err != nil || exit.Code != 0 {
			b.Fatal(exit, err)
		}
		b.StopTimer()
		if err := h.Remove(b.Context(), spec.ID); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(residentMiB(b, h), "MiB-daemon")
}

func residentMiB(t testing.TB, h host) float64 {
	t.Helper()
	p, _, err := daemon.Running(h.paths.state)
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
