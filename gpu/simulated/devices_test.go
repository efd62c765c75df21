package simulated

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/gpu"
)

func made(t *testing.T, list, worker string) []gpu.Device {
	t.Helper()
	m, err := Make(list, []byte(worker))
	if err != nil {
		t.Fatal(err)
	}
	return m.Devices
}

func TestSimulatedDevicesAreMarkedAndTheirOwn(t *testing.T) {
	a, again, b := made(t, "rtx-4090:2, rtx-3060", "worker a"), made(t, "rtx-4090:2,rtx-3060:1", "worker a"), made(t, "rtx-4090:2,rtx-3060", "worker b")
	if len(a) != 3 || !cmp.Equal(a, again) {
		t.Errorf("got %v and then %v", a, again)
	}
	seen := map[string]bool{}
	for _, d := range slices.Concat(a, b) {
		if !d.Simulated || !strings.HasPrefix(d.UUID, "SIM-") || seen[d.UUID] {
			t.Errorf("odd device %+v", d)
		}
		seen[d.UUID] = true
	}
	if a[2].Model != "rtx-3060" || a[2].VRAM != 12*gpu.GiB {
		t.Errorf("odd device %+v", a[2])
	}
}

func TestSimulatedDevicesExplainMistakes(t *testing.T) {
	for list, want := range map[string]string{
		"rtx4090":        "did you mean rtx-4090?",
		"":               "such as rtx-4090:2",
		"rtx-4090,":      "such as rtx-4090:2",
		"rtx-4090:0":     "count from 1 to 64",
		"rtx-4090:x":     "count from 1 to 64",
		"rtx-4090:":      "count from 1 to 64",
		"rtx-4090:-1":    "count from 1 to 64",
		"rtx-4090:65":    "count from 1 to 64",
		"l4:64,rtx-3060": "at most 64 devices",
		"home:2":         "home is a whole machine",

		"rtx-4090:1g.5gb":      "rtx-4090 cannot be cut into slices",
		"h100-sxm:1g.5gb":      "it has 1g.10gb, 1g.20gb, 2g.20gb, 3g.40gb, 4g.40gb, 7g.80gb",
		"h100-sxm:1g.10gb:0":   "count from 1 to 64",
		"flaky:":               "such as rtx-4090:2",
		"flaky:flaky:rtx-4090": "unknown model \"flaky\"",
		"abacus":               "known are a10, a100-pcie-40gb",
	} {
		got, err := Make(list, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %d devices and %v: want %q", list, len(got.Devices), err, want)
		}
	}
}

func FuzzMake(f *testing.F) {
	f.Add("rtx-4090:2,rtx-3060")
	f.Add(":,:")
	f.Add("flaky:h100-sxm:1g.10gb:7,a30:2g.12gb")
	f.Fuzz(func(t *testing.T, list string) {
		m, err := Make(list, []byte("key"))
		if err == nil && (len(m.Devices) == 0 || len(m.Devices) > MaxDevices) {
			t.Errorf("%q gave %d devices", list, len(m.Devices))
		}
	})
}
