package gpu_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
)

// without takes devices out of a list.
func without(all, taken []gpu.Device) []gpu.Device {
	return slices.DeleteFunc(slices.Clone(all), func(d gpu.Device) bool {
		return slices.ContainsFunc(taken, func(t gpu.Device) bool { return t.UUID == d.UUID })
	})
}

func positions(all, some []gpu.Device) []int {
	var out []int
	for i, d := range all {
		if slices.ContainsFunc(some, func(s gpu.Device) bool { return s.UUID == d.UUID }) {
			out = append(out, i)
		}
	}
	return out
}

func TestSmallJobsShareAnIslandSoThatBigOnesStillFit(t *testing.T) {
	all := gputest.TwoBoards()
	free := all
	for _, step := range []struct {
		count int
		link  bool
		want  []int
	}{
		{1, false, []int{0}},
		{1, false, []int{1}}, // the other card of the same switch
		{4, true, []int{4, 5, 6, 7}},
		{2, true, []int{2, 3}},
	} {
		got, m := gpu.Match(free, gpu.Requirement{Count: step.count, NVLink: step.link})
		if diff := cmp.Diff(step.want, positions(all, got)); diff != "" {
			t.Fatalf("%d devices, linked %t: %v (-want +got):\n%s", step.count, step.link, m, diff)
		}
		free = without(free, got)
	}
}

func TestLinkedDevicesAreOfOneIsland(t *testing.T) {
	all := gputest.TwoBoards()
	if got, m := gpu.Match(all, gpu.Requirement{Count: 5, NVLink: true}); m.Lack != gpu.LackNVLink || m.Linked != 4 {
		t.Errorf("five linked devices: %v, %v", positions(all, got), m)
	}
	if got, _ := gpu.Match(all, gpu.Requirement{Count: 5}); cmp.Diff([]int{0, 1, 2, 3, 4}, positions(all, got)) != "" {
		t.Errorf("five devices are %v; want a whole board and one more", positions(all, got))
	}
	rig := gputest.MiningRig()
	if got, m := gpu.Match(rig, gpu.Requirement{Count: 2, NVLink: true}); m.Lack != gpu.LackNVLink || m.Linked != 1 {
		t.Errorf("two linked devices of a rig: %v, %v", models(got), m)
	}
	if _, m := gpu.Match(rig, gpu.Requirement{Count: 1, NVLink: true}); !m.OK() {
		t.Errorf("one device needs no link: %v", m)
	}
}

func TestSlicesGoOnlyToThoseWhoAskForThem(t *testing.T) {
	all := gputest.Sliced()
	if got, m := gpu.Match(all, gpu.Requirement{Count: 1}); len(got) != 1 || got[0].Slice() || got[0].MIG.Enabled {
		t.Errorf("one device is %v, %v; want the card that is whole", got, m)
	}
	if got, m := gpu.Match(all, gpu.Requirement{Count: 3, MIG: "1g.10gb"}); len(got) != 3 || !got[0].Slice() {
		t.Errorf("three slices: %v, %v", got, m)
	}
	_, m := gpu.Match(all, gpu.Requirement{Count: 1, MIG: "2g.20gb"})
	if diff := cmp.Diff(gpu.Mismatch{Lack: gpu.LackMIG, Profiles: []string{"", "1g.10gb"}}, m); diff != "" {
		t.Error(diff)
	}
}

func TestExclusiveMeansAllThatTheMachineLends(t *testing.T) {
	all := gputest.EightH100()
	if _, m := gpu.Match(all, gpu.Requirement{Count: 2, Exclusive: true}); m.Lack != gpu.LackExclusive || m.Count != 8 {
		t.Errorf("two of eight: %v", m)
	}
	if got, m := gpu.Match(all, gpu.Requirement{Count: 8, Exclusive: true}); len(got) != 8 {
		t.Errorf("all eight: %v", m)
	}
}

func TestAVersionThatIsTooLowNamesTheOneThereIs(t *testing.T) {
	all := gputest.Machine("rtx-4090", "rtx-3060")
	for i, capability := range []gpu.Version{"8.9", "8.6"} {
		all[i].Capability, all[i].Driver, all[i].CUDA = capability, "550.54.14", "12.4"
	}
	for _, c := range []struct {
		need gpu.Requirement
		want gpu.Mismatch
	}{
		{gpu.Requirement{Count: 1, Capability: "9.0"}, gpu.Mismatch{Lack: gpu.LackCapability, Capability: "8.9"}},
		{gpu.Requirement{Count: 2, Capability: "8.9"}, gpu.Mismatch{Lack: gpu.LackCapability, Count: 1, Capability: "8.6"}},
		{gpu.Requirement{Count: 1, Driver: "580"}, gpu.Mismatch{Lack: gpu.LackDriver, Driver: "550.54.14"}},
		{gpu.Requirement{Count: 1, CUDA: "13.0"}, gpu.Mismatch{Lack: gpu.LackCUDA, CUDA: "12.4"}},
		{gpu.Requirement{Count: 1, Capability: "8.6", Driver: "550.54", CUDA: "12"}, gpu.Mismatch{}},
	} {
		if _, m := gpu.Match(all, c.need); cmp.Diff(c.want, m) != "" {
			t.Errorf("%+v: %s", c.need, cmp.Diff(c.want, m))
		}
	}
}

// Against every other choice: as few islands as possible, and when one is
// enough, the one whose loss leaves the largest islands whole.
func TestPackingLeavesTheLargestIslandsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, 4), 1, 4).Draw(t, "islands")
		all, free := boards(t, sizes)
		count := rapid.IntRange(1, len(all)).Draw(t, "count")
		got, m := gpu.Match(free, gpu.Requirement{Count: count})
		if len(free) < count {
			if m.OK() {
				t.Fatalf("%d of %d devices", count, len(free))
			}
			return
		}
		place := map[string]int{}
		for i, n := range gpu.Islands(all) {
			place[all[i].UUID] = n
		}
		used, left := islandsUsed(got, place), islandSizes(without(free, got), place)
		for mask := range 1 << len(free) {
			other := subset(free, mask)
			if len(other) != count {
				continue
			}
			n := islandsUsed(other, place)
			if n < used {
				t.Fatalf("%v uses %d islands, %v only %d", positions(all, got), used, positions(all, other), n)
			}
			if used == 1 && n == 1 && slices.Compare(islandSizes(without(free, other), place), left) > 0 {
				t.Fatalf("%v leaves %v, %v leaves more", positions(all, got), left, positions(all, other))
			}
		}
	})
}

// boards makes a machine of islands, and takes some of its devices.
func boards(t *rapid.T, sizes []int) (all, free []gpu.Device) {
	for b, size := range sizes {
		for i := range size {
			d := gpu.Device{UUID: fmt.Sprintf("GPU-%d-%d", b, i), Model: "a100-sxm4-80gb", VRAM: 80 * gpu.GiB}
			for far := range size {
				d.NVLink = append(d.NVLink, fmt.Sprintf("GPU-%d-%d", b, far))
			}
			all = append(all, d)
		}
	}
	for _, d := range all {
		if rapid.IntRange(0, 3).Draw(t, "free") > 0 {
			free = append(free, d)
		}
	}
	return all, free
}

func subset(ds []gpu.Device, mask int) []gpu.Device {
	var out []gpu.Device
	for i, d := range ds {
		if mask&(1<<i) != 0 {
			out = append(out, d)
		}
	}
	return out
}

func islandsUsed(ds []gpu.Device, place map[string]int) int { return len(islandSizes(ds, place)) }

// islandSizes are how many devices each island has, the largest first.
func islandSizes(ds []gpu.Device, place map[string]int) []int {
	counts := map[int]int{}
	for _, d := range ds {
		counts[place[d.UUID]]++
	}
	var out []int
	for _, n := range counts {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b int) int { return b - a })
	return out
}
