package gpu

import (
	"cmp"
	"slices"
)

// grouping names the group a device belongs to; "" is a group like any other.
type grouping func(Device) string

func switchOf(d Device) string { return d.PCI.Switch }
func cardOf(d Device) string   { return d.MIG.Parent }

// pack picks count of at least as many devices, sorted by waste: from the
// smallest group that has enough, so that larger ones stay whole, and inside it by
// the next grouping. What no group has enough for takes the largest groups whole
// and the rest from the smallest that will do.
func pack(sorted []Device, count int, levels []grouping) []Device {
	if len(levels) == 0 || count == len(sorted) {
		return slices.Clip(sorted[:count])
	}
	groups := split(sorted, levels[0])
	var picked []Device
	for count > 0 {
		if tight := tightest(groups, count, levels[1:]); tight != nil {
			picked = append(picked, tight...)
			break
		}
		largest := slices.MaxFunc(groups, func(a, b []Device) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), byWaste(b[0], a[0]))
		})
		picked = append(picked, largest...)
		count -= len(largest)
		groups = slices.DeleteFunc(groups, func(g []Device) bool { return g[0].UUID == largest[0].UUID })
	}
	slices.SortFunc(picked, byWaste)
	return picked
}

// tightest picks count devices from one of the groups: where the dearest costs
// least, and then where fewest are left over. It is nil when no group has enough.
func tightest(groups [][]Device, count int, levels []grouping) []Device {
	var best []Device
	var size int
	for _, g := range groups {
		if len(g) < count {
			continue
		}
		picked := pack(g, count, levels)
		better := best == nil || cmp.Or(
			cmp.Compare(dearest(picked), dearest(best)),
			cmp.Compare(len(g), size),
			byWaste(picked[0], best[0]),
		) < 0
		if better {
			best, size = picked, len(g)
		}
	}
	return best
}

// dearest is the highest price of some devices.
func dearest(devices []Device) uint64 {
	var p uint64
	for _, d := range devices {
		p = max(p, d.Price)
	}
	return p
}

// split keeps the order within groups, and orders groups by their first device.
func split[K comparable](devices []Device, of func(Device) K) [][]Device {
	at := map[K]int{}
	var groups [][]Device
	for _, d := range devices {
		i, ok := at[of(d)]
		if !ok {
			i = len(groups)
			at[of(d)] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], d)
	}
	return groups
}
