package simulated

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rigmesh/rigmesh/gpu"
)

func TestSlicesAreNamedAsTheDriverNamesThem(t *testing.T) {
	for slug, want := range map[string][]string{
		"a30":            {"1g.6gb", "2g.12gb", "4g.24gb"},
		"a100-sxm4-40gb": {"1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"},
		"h100-sxm":       {"1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"},
		"h100-nvl":       {"1g.12gb", "1g.24gb", "2g.24gb", "3g.47gb", "4g.47gb", "7g.94gb"},
		"h200":           {"1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"},
		"b200":           {"1g.23gb", "1g.45gb", "2g.45gb", "3g.90gb", "4g.90gb", "7g.180gb"},
		"rtx-4090":       nil,
	} {
		var got []string
		for _, s := range slicesOf(known(slug)) {
			got = append(got, s.name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", slug, diff)
		}
	}
}

func TestSlicesFillOneCardAfterTheOther(t *testing.T) {
	devices := made(t, "rtx-3060,h100-sxm:3g.40gb:3", "worker")
	parents := map[string]int{}
	for _, d := range devices[1:] {
		parents[d.MIG.Parent]++
		if d.MIG.Profile != "3g.40gb" || !gpu.Holds(d.VRAM, 40*gpu.GiB) || d.VRAM > 41*gpu.GiB || d.Model != "h100-sxm" {
			t.Errorf("odd slice %+v", d)
		}
		if slices.ContainsFunc(devices, func(o gpu.Device) bool { return o.UUID == d.MIG.Parent }) {
			t.Errorf("%s is lent itself and in slices", d.MIG.Parent)
		}
	}
	if devices[1].MIG.Parent != devices[2].MIG.Parent || len(parents) != 2 || devices[1].PCI.Address == devices[3].PCI.Address {
		t.Errorf("slices of %v", parents)
	}
}

func TestTheMachineWithSlicesHasAWholeCardToo(t *testing.T) {
	devices := made(t, "mig-h100", "worker")
	if devices[0].Slice() || len(devices) != 5 {
		t.Fatalf("got %+v", devices)
	}
	for _, d := range devices[1:] {
		if d.MIG.Parent != devices[1].MIG.Parent || d.PCI.Address == devices[0].PCI.Address {
			t.Errorf("odd slice %+v", d)
		}
	}
}

func TestASliceSaysLessThanACard(t *testing.T) {
	s, _, load, devices := open(t, "a30:1g.6gb")
	*load = 1
	got := read(t, s)
	if got.Has(gpu.ReadPower) || got.Has(gpu.ReadEnergy) || got.Power != 0 || !got.Has(gpu.ReadMemory|gpu.ReadTemperature) {
		t.Errorf("reads %+v", got)
	}
	if s.SetPowerLimit(t.Context(), devices[0].UUID, 100_000) == nil {
		t.Error("a slice took a power limit")
	}
}
