package gpu_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/gpu/simulated"
)

func models(ds []gpu.Device) []string {
	var out []string
	for _, d := range ds {
		out = append(out, d.Model)
	}
	return out
}

func madeUp(t *testing.T, list string) []gpu.Device {
	t.Helper()
	made, err := simulated.Make(list, []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	return made.Devices
}

func TestMatchPicksWhatWastesLeast(t *testing.T) {
	rig := gputest.MiningRig()
	for _, c := range []struct {
		name string
		have []gpu.Device
		need gpu.Requirement
		want []string
	}{
		{"any one", rig, gpu.Requirement{Count: 1}, []string{"gtx-1660-super"}},
		{"8 GiB", rig, gpu.Requirement{Count: 1, VRAM: 8 * gpu.GiB}, []string{"rtx-3070"}},
		{"24 GiB", rig, gpu.Requirement{Count: 1, VRAM: 24 * gpu.GiB}, []string{"rtx-3090"}},
		{"two alike before two smaller unlike", rig, gpu.Requirement{Count: 2, VRAM: 8 * gpu.GiB}, []string{"rtx-3060", "rtx-3060"}},
		{"unlike when it must be", rig, gpu.Requirement{Count: 3, VRAM: 8 * gpu.GiB}, []string{"rtx-3070", "rtx-3080", "rtx-3060"}},
		{"by name", rig, gpu.Requirement{Count: 1, Models: []string{"rtx-3090", "rtx-3080"}}, []string{"rtx-3080"}},
		{"the size on the box", gputest.One4090(), gpu.Requirement{Count: 1, VRAM: 24 * gpu.GiB}, []string{"rtx-4090"}},
		{"80 on the box", gputest.EightH100()[:1], gpu.Requirement{Count: 1, VRAM: 80 * gpu.GiB}, []string{"h100-sxm"}},
	} {
		got, m := gpu.Match(c.have, c.need)
		if diff := cmp.Diff(c.want, models(got)); diff != "" || !m.OK() {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, m, diff)
		}
	}
}

func TestMatchPrefersTheCheaperOfEquals(t *testing.T) {
	ds := gputest.Machine("rtx-3060", "rtx-3060", "rtx-3060")
	ds[0].Price, ds[1].Price, ds[2].Price = 3, 1, 2
	got, _ := gpu.Match(ds, gpu.Requirement{Count: 2})
	if diff := cmp.Diff([]gpu.Device{ds[1], ds[2]}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMatchPrefersRealDevices(t *testing.T) {
	ds := slices.Concat(madeUp(t, "gtx-1060"), gputest.One4090())
	got, _ := gpu.Match(ds, gpu.Requirement{Count: 1, AllowSimulated: true})
	if len(got) != 1 || got[0].Simulated {
		t.Errorf("got %v", got)
	}
}

func TestMismatchSaysWhatWouldHaveMatched(t *testing.T) {
	rig := gputest.MiningRig()
	for _, c := range []struct {
		name string
		have []gpu.Device
		need gpu.Requirement
		want gpu.Mismatch
	}{
		{"no GPU", gputest.None(), gpu.Requirement{Count: 1}, gpu.Mismatch{Lack: gpu.LackCount}},
		{"too many", gputest.EightH100(), gpu.Requirement{Count: 9}, gpu.Mismatch{Lack: gpu.LackCount, Count: 8}},
		{"too many, few of which fit", rig, gpu.Requirement{Count: 8, VRAM: 12 * gpu.GiB}, gpu.Mismatch{Lack: gpu.LackCount, Count: 3}},
		{"too large", gputest.One4090(), gpu.Requirement{Count: 1, VRAM: 48 * gpu.GiB},
			gpu.Mismatch{Lack: gpu.LackVRAM, VRAM: 24564 * gpu.MiB}},
		{"too large for two", rig, gpu.Requirement{Count: 2, VRAM: 24 * gpu.GiB},
			gpu.Mismatch{Lack: gpu.LackVRAM, Count: 1, VRAM: 12 * gpu.GiB}},
		{"another model", rig, gpu.Requirement{Count: 1, Models: []string{"h100-sxm"}},
			gpu.Mismatch{Lack: gpu.LackModel, Models: []string{"gtx-1660-super", "rtx-3060", "rtx-3070", "rtx-3080", "rtx-3090"}}},
		{"only simulated", madeUp(t, "rtx-4090:2"), gpu.Requirement{Count: 1}, gpu.Mismatch{Lack: gpu.LackSimulated}},
		{"nothing asked", rig, gpu.Requirement{}, gpu.Mismatch{Lack: gpu.LackCount}},
	} {
		got, m := gpu.Match(c.have, c.need)
		if diff := cmp.Diff(c.want, m); diff != "" || got != nil {
			t.Errorf("%s: devices %v (-want +got):\n%s", c.name, got, diff)
		}
		if m.String() == "" || m.OK() {
			t.Errorf("%s: says %q", c.name, m)
		}
	}
}

var anyMachine = rapid.Custom(func(t *rapid.T) []gpu.Device {
	kinds := gpu.Catalog()
	n := rapid.IntRange(0, 10).Draw(t, "devices")
	var slugs []string
	for range n {
		slugs = append(slugs, kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "model")].Slug)
	}
	ds := gputest.Machine(slugs...)
	for i := range ds {
		ds[i].Simulated = rapid.IntRange(0, 3).Draw(t, "simulated") == 0
		ds[i].Price = rapid.Uint64Range(0, 3).Draw(t, "price")
	}
	return ds
})

var anyNeed = rapid.Custom(func(t *rapid.T) gpu.Requirement {
	r := gpu.Requirement{
		Count:          rapid.IntRange(1, 5).Draw(t, "count"),
		VRAM:           rapid.Uint64Range(0, 100).Draw(t, "GiB") * gpu.GiB,
		AllowSimulated: rapid.Bool().Draw(t, "allow simulated"),
	}
	if rapid.IntRange(0, 3).Draw(t, "named") == 0 {
		r.Models = []string{"rtx-3060", "rtx-4090", "h100-sxm"}
	}
	return r
})

func TestMatchIsSoundAndCompleteAndBlindToOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have, need := anyMachine.Draw(t, "machine"), anyNeed.Draw(t, "need")
		got, m := gpu.Match(have, need)
		fit := 0
		for _, d := range have {
			if need.Fits(d) {
				fit++
			}
		}
		if m.OK() != (fit >= need.Count) || m.OK() != (len(got) == need.Count) {
			t.Fatalf("%d fit, %d wanted: got %d devices, %v", fit, need.Count, len(got), m)
		}
		for i, d := range got {
			if !need.Fits(d) || slices.ContainsFunc(got[:i], func(e gpu.Device) bool { return e.UUID == d.UUID }) {
				t.Fatalf("%v does not fit or is there twice", d)
			}
		}
		mixed := slices.Clone(have)
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		again, m2 := gpu.Match(mixed, need)
		if diff := cmp.Diff(got, again) + cmp.Diff(m, m2); diff != "" {
			t.Fatalf("the order of devices matters:\n%s", diff)
		}
	})
}

func TestASingleDeviceIsTheSmallestThatFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have, need := anyMachine.Draw(t, "machine"), anyNeed.Draw(t, "need")
		need.Count, need.AllowSimulated = 1, false
		got, m := gpu.Match(have, need)
		if !m.OK() {
			t.Skip()
		}
		for _, d := range have {
			if need.Fits(d) && d.VRAM < got[0].VRAM {
				t.Fatalf("lent %v although %v fits", got[0], d)
			}
		}
	})
}

// What a mismatch names as nearest must be true: asking for just that matches.
func TestNearestTermsOfAMismatchDoMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have, need := anyMachine.Draw(t, "machine"), anyNeed.Draw(t, "need")
		_, m := gpu.Match(have, need)
		near := need
		switch {
		case m.OK():
			t.Skip()
		case m.Lack == gpu.LackVRAM:
			near.VRAM = m.VRAM
		case m.Lack == gpu.LackModel:
			near.Models, near.VRAM = m.Models, 0
		case m.Lack == gpu.LackSimulated:
			near.AllowSimulated, near.Models, near.VRAM = true, nil, 0
		case m.Count > 0:
			near.Count = m.Count
		default:
			t.Skip()
		}
		if _, again := gpu.Match(have, near); !again.OK() {
			t.Fatalf("%v asks for %v, which gives %v", m, near, again)
		}
	})
}
