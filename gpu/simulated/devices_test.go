package simulated

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/gpu"
)

func TestSimulatedDevicesAreMarkedAndTheirOwn(t *testing.T) {
	a, err := Devices("rtx-4090:2, rtx-3060", []byte("worker a"))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Devices("rtx-4090:2,rtx-3060:1", []byte("worker a"))
	b, _ := Devices("rtx-4090:2,rtx-3060", []byte("worker b"))
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
		"abacus":         "known are a10, a100-pcie-40gb",
	} {
		got, err := Devices(list, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %d devices and %v: want %q", list, len(got), err, want)
		}
	}
}

func FuzzDevices(f *testing.F) {
	f.Add("rtx-4090:2,rtx-3060")
	f.Add(":,:")
	f.Fuzz(func(t *testing.T, list string) {
		ds, err := Devices(list, []byte("key"))
		if err == nil && (len(ds) == 0 || len(ds) > MaxDevices) {
			t.Errorf("%q gave %d devices", list, len(ds))
		}
	})
}
