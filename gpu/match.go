package gpu

import (
	"cmp"
	"slices"
)

// Match picks the devices to lend: real ones before simulated ones; for several
// devices, of one model if that is possible, because a job across unlike cards
// runs at the speed of the slowest; then the least memory that will do, so that
// the biggest stay free; then the cheapest; then those whose loss splits least what
// belongs together, so that big jobs still fit. The choice depends on nothing else,
// the order of devices included.
//
// What a requirement says about all devices of a machine, Exclusive, is said about these.
func Match(devices []Device, r Requirement) ([]Device, Mismatch) {
	if r.Count < 1 {
		return nil, Mismatch{Lack: LackCount}
	}
	var fit []Device
	for _, d := range devices {
		if r.Fits(d) {
			fit = append(fit, d)
		}
	}
	if len(fit) < r.Count || r.Exclusive && len(devices) != r.Count {
		return nil, mismatch(devices, r)
	}
	slices.SortFunc(fit, byWaste)
	lent := choose(fit, r)
	if lent == nil {
		return nil, mismatch(devices, r)
	}
	return lent, Mismatch{}
}

// choose picks from devices that fit, sorted by waste; nil when links are
// wanted and too few devices have them.
func choose(fit []Device, r Requirement) []Device {
	place := islands(fit)
	pools := alike(fit)
	if r.NVLink && r.Count > 1 {
		pools = linked(pools, fit, place, r.Count)
	}
	var best []Device
	for _, pool := range pools {
		if len(pool) < r.Count {
			continue
		}
		picked := pack(pool, r.Count, []grouping{place.of, switchOf, cardOf})
		if best == nil || worse(best, picked) {
			best = picked
		}
	}
	if best == nil && !(r.NVLink && r.Count > 1) {
		best = slices.Clip(fit[:r.Count])
	}
	return best
}

// alike splits devices sorted by waste by model, and real from simulated.
func alike(sorted []Device) [][]Device {
	type kind struct {
		model     string
		simulated bool
	}
	return split(sorted, func(d Device) kind { return kind{d.Model, d.Simulated} })
}

// linked are pools of devices of one island each: of one model, or else of any.
func linked(pools [][]Device, fit []Device, place islandsOf, count int) [][]Device {
	together := func(pools [][]Device) [][]Device {
		var out [][]Device
		for _, pool := range pools {
			for _, island := range split(pool, place.of) {
				if place.of(island[0]) != "" && len(island) >= count {
					out = append(out, island)
				}
			}
		}
		return out
	}
	if same := together(pools); len(same) > 0 {
		return same
	}
	return together([][]Device{fit})
}

// worse says whether a wastes more than b, which has as many devices. Both are
// sorted by waste.
func worse(a, b []Device) bool {
	x, y := a[len(a)-1], b[len(b)-1]
	return cmp.Or(
		compareBool(x.Simulated, y.Simulated),
		cmp.Compare(x.VRAM, y.VRAM),
		cmp.Compare(dearest(a), dearest(b)),
		cmp.Compare(x.Model, y.Model),
		cmp.Compare(x.UUID, y.UUID),
	) > 0
}

func byWaste(a, b Device) int {
	return cmp.Or(
		compareBool(a.Simulated, b.Simulated),
		cmp.Compare(a.VRAM, b.VRAM),
		cmp.Compare(a.Price, b.Price),
		cmp.Compare(a.Model, b.Model),
		cmp.Compare(a.UUID, b.UUID),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
