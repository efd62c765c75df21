package gpu

import (
	"slices"
	"strings"
	"testing"
)

func TestCatalogIsSortedAndSane(t *testing.T) {
	if len(catalog) < 25 {
		t.Errorf("only %d models", len(catalog))
	}
	if !slices.IsSortedFunc(catalog, func(a, b Model) int { return strings.Compare(a.Slug, b.Slug) }) {
		t.Error("the catalog is not sorted by slug")
	}
	for i, m := range catalog {
		if i > 0 && catalog[i-1].Slug == m.Slug {
			t.Errorf("%s is there twice", m.Slug)
		}
		if m.Slug != strings.ToLower(m.Slug) || m.Name == "" || m.VRAM < 3*GiB || m.VRAM > 512*GiB {
			t.Errorf("odd model %+v", m)
		}
		if got, ok := Lookup(m.Slug); !ok || got != m {
			t.Errorf("Lookup(%q) = %+v, %t", m.Slug, got, ok)
		}
	}
	if _, ok := Lookup("rtx-9999"); ok {
		t.Error("Lookup knows rtx-9999")
	}
	Catalog()[0].Slug = "changed"
	if catalog[0].Slug == "changed" {
		t.Error("callers can change the catalog")
	}
}

func TestNearestKnowsWhatWasMeant(t *testing.T) {
	for typed, want := range map[string]string{
		"rtx4090": "rtx-4090", "RTX 4090": "rtx-4090", "rtx_4090": "rtx-4090", "4090": "rtx-4090", "rtx-4o90": "rtx-4090",
		"rtx-3060ti": "rtx-3060-ti", "h100": "h100-nvl", "a100-80gb": "a100-pcie-80gb", "RTX-A6000": "rtx-a6000", "1080ti": "gtx-1080-ti",
		"quantum-computer": "", "": "",
	} {
		if got := Nearest(typed); got != want {
			t.Errorf("Nearest(%q) = %q: want %q", typed, got, want)
		}
	}
}

func TestHoldsForgivesFirmwareAndECC(t *testing.T) {
	for _, c := range []struct {
		vram, need uint64
		want       bool
	}{
		{24564 * MiB, 24 * GiB, true},
		{23028 * MiB, 24 * GiB, true},
		{15360 * MiB, 16 * GiB, true},
		{81559 * MiB, 80 * GiB, true},
		{143771 * MiB, 141 * GiB, true},
		{46068 * MiB, 48 * GiB, true},
		{11 * GiB, 12 * GiB, false},
		{22 * GiB, 24 * GiB, false},
		{10 * GiB, 11 * GiB, false},
		{0, 0, true},
		{0, 1, false},
		{^uint64(0), ^uint64(0), true},
		{0, ^uint64(0), false},
	} {
		if got := Holds(c.vram, c.need); got != c.want {
			t.Errorf("%s counts as %s: %t", FormatVRAM(c.vram), FormatVRAM(c.need), got)
		}
	}
}

func TestFormatVRAMIsShort(t *testing.T) {
	for bytes, want := range map[uint64]string{
		0: "0 MiB", 512 * MiB: "512 MiB", GiB: "1 GiB", 24564 * MiB: "24 GiB", 23034 * MiB: "22.5 GiB", 81559 * MiB: "79.6 GiB",
		143771 * MiB: "140.4 GiB", 6 * GiB: "6 GiB", 1<<40 + 1: "1024 GiB", ^uint64(0): "17179869184 GiB",
	} {
		if got := FormatVRAM(bytes); got != want {
			t.Errorf("FormatVRAM(%d) = %q: want %q", bytes, got, want)
		}
	}
}
