package job

import (
	"slices"

	"github.com/rigmesh/rigmesh/gpu"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// tier is one rung of the capability ladder.
type tier struct {
	name string
	vram uint64 // bytes of one device
}

var tiers = []tier{
	{"cpu", 0},
	{"8g", 8 * gpu.GiB},
	{"12g", 12 * gpu.GiB},
	{"16g", 16 * gpu.GiB},
	{"24g", 24 * gpu.GiB},
	{"48g", 48 * gpu.GiB},
	{"80g", 80 * gpu.GiB},
	{"141g", 141 * gpu.GiB},
}

// Tiers lists the capability tiers, smallest first.
func Tiers() []string { return names(tiers) }

// TierOf is the highest tier that a device with vram bytes serves. A card
// counts by the size on its box: gpu.Holds says how much less the driver may report.
func TierOf(vram uint64) string { return tiers[rung(vram)].name }

// TiersServed lists every tier that a device with vram bytes serves: those a
// worker joins and provides, for its biggest device.
func TiersServed(vram uint64) []string { return names(tiers[:rung(vram)+1]) }

// TierFor is the tier in which a requirement is announced: the highest that
// every worker which could serve it has joined. A requirement that names
// models is at least as high as the smallest of them.
func TierFor(r *marketv1.Requirement) string {
	i := len(tiers) - 1
	for tiers[i].vram > r.GetVramBytes() {
		i--
	}
	return tiers[max(i, rung(smallestModel(r.GetModels())))].name
}

func rung(vram uint64) int {
	i := len(tiers) - 1
	for !gpu.Holds(vram, tiers[i].vram) {
		i--
	}
	return i
}

// smallestModel is 0 when any model will do, or when one is not known.
func smallestModel(slugs []string) uint64 {
	var sizes []uint64
	for _, slug := range slugs {
		m, ok := gpu.Lookup(slug)
		if !ok {
			return 0
		}
		sizes = append(sizes, m.VRAM)
	}
	if len(sizes) == 0 {
		return 0
	}
	return slices.Min(sizes)
}

func names(ts []tier) []string {
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = t.name
	}
	return out
}
