package job

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rigmesh/rigmesh/gpu"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestCardsServeTheTierOnTheirBox(t *testing.T) {
	for slug, want := range map[string]string{
		"rtx-4090": "24g", "l4": "24g", "a10": "24g", "rtx-3060": "12g", "rtx-3080": "8g", "gtx-1660-super": "cpu",
		"t4": "16g", "h100-sxm": "80g", "h100-nvl": "80g", "h200": "141g", "l40s": "48g", "rtx-5090": "24g",
		"a100-sxm4-40gb": "24g", "b200": "141g", "rtx-4060": "8g",
	} {
		m, _ := gpu.Lookup(slug)
		if got := TierOf(m.VRAM); got != want {
			t.Errorf("%s with %s serves %s: want %s", slug, gpu.FormatVRAM(m.VRAM), got, want)
		}
	}
}

func TestAWorkerServesEveryTierUpToItsOwn(t *testing.T) {
	if diff := cmp.Diff([]string{"cpu", "8g", "12g", "16g", "24g"}, TiersServed(24564*gpu.MiB)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"cpu"}, TiersServed(0)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Tiers(), TiersServed(1<<40)); diff != "" {
		t.Error(diff)
	}
}

func TestWhoeverCanServeARequirementHearsOfIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		need := rapid.Uint64Range(0, 256*gpu.GiB).Draw(t, "need")
		vram := rapid.OneOf(rapid.Uint64Range(0, 256*gpu.GiB), rapid.Uint64Range(need-need/14, need)).Draw(t, "vram")
		if !gpu.Holds(vram, need) {
			t.Skip()
		}
		tier := TierFor(&marketv1.Requirement{Count: 1, VramBytes: need})
		if !slices.Contains(TiersServed(vram), tier) {
			t.Fatalf("%s could serve %s, announced in %s, but joins %v",
				gpu.FormatVRAM(vram), gpu.FormatVRAM(need), tier, TiersServed(vram))
		}
	})
}

func TestNamedModelsRaiseTheTierOfARequirement(t *testing.T) {
	for _, c := range []struct {
		models []string
		vram   uint64
		want   string
	}{
		{nil, 0, "cpu"},
		{nil, 24 * gpu.GiB, "24g"},
		{nil, 23 * gpu.GiB, "16g"},
		{[]string{"h100-sxm"}, 0, "80g"},
		{[]string{"h100-sxm", "rtx-3060"}, 0, "12g"},
		{[]string{"h100-sxm", "future-9000"}, 0, "cpu"},
		{[]string{"rtx-3060"}, 48 * gpu.GiB, "48g"},
	} {
		if got := TierFor(&marketv1.Requirement{Models: c.models, VramBytes: c.vram}); got != c.want {
			t.Errorf("%v with %s: tier %s, want %s", c.models, gpu.FormatVRAM(c.vram), got, c.want)
		}
	}
}

func TestWorkersWithANamedModelHearOfIt(t *testing.T) {
	for _, m := range gpu.Catalog() {
		tier := TierFor(&marketv1.Requirement{Models: []string{m.Slug}})
		if !slices.Contains(TiersServed(m.VRAM), tier) {
			t.Errorf("%s is announced in %s but its workers join %v", m.Slug, tier, TiersServed(m.VRAM))
		}
	}
}
