package simulated

import (
	"fmt"
	"math"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
)

// slice is a size of MIG slices: so many parts of a card's processors, and of its memory.
type slice struct {
	name            string // "1g.10gb"
	compute, memory int
	card            layout
}

// layout is into how many parts a card can be cut at most.
type layout struct{ compute, memory int }

// cuttable are the models with MIG, by the beginning of their slugs.
var cuttable = []struct {
	slug string
	layout
}{
	{"a30", layout{4, 4}}, {"a100", layout{7, 8}}, {"h100", layout{7, 8}}, {"h20", layout{7, 8}},
	{"gh200", layout{7, 8}}, {"b200", layout{7, 8}}, {"b300", layout{7, 8}}, {"gb200", layout{7, 8}},
}

// sizes are the slices of a layout, as parts of processors and of memory.
var sizes = map[layout][][2]int{
	{4, 4}: {{1, 1}, {2, 2}, {4, 4}},
	{7, 8}: {{1, 1}, {1, 2}, {2, 2}, {3, 4}, {4, 4}, {7, 8}},
}

// slicesOf are the sizes that a model can be cut into, named as the driver names them.
func slicesOf(m gpu.Model) []slice {
	for _, c := range cuttable {
		if !strings.HasPrefix(m.Slug, c.slug) {
			continue
		}
		var out []slice
		for _, size := range sizes[c.layout] {
			box := math.Ceil(float64(m.VRAM) / float64(gpu.GiB)) // as the maker counts
			gb := math.Round(box * float64(size[1]) / float64(c.memory))
			out = append(out, slice{fmt.Sprintf("%dg.%.0fgb", size[0], gb), size[0], size[1], c.layout})
		}
		return out
	}
	return nil
}

func sliceOf(m gpu.Model, profile string) (slice, error) {
	var names []string
	for _, s := range slicesOf(m) {
		if s.name == profile {
			return s, nil
		}
		names = append(names, s.name)
	}
	if len(names) == 0 {
		return slice{}, fmt.Errorf("%s cannot be cut into slices", m.Slug)
	}
	return slice{}, fmt.Errorf("%s has no slices %s: it has %s", m.Slug, profile, strings.Join(names, ", "))
}

// cut makes slices out of cards of a model, and begins another card when one is full.
func cut(m gpu.Model, wanted ...slice) []blank {
	var out []blank
	card, compute, memory := 0, 0, 0
	for i, s := range wanted {
		if compute+s.compute > s.card.compute || memory+s.memory > s.card.memory {
			card, compute, memory = i, 0, 0
		}
		compute, memory = compute+s.compute, memory+s.memory
		out = append(out, blank{model: m, slice: s, card: card})
	}
	return out
}

// of makes a slice of a card that has a UUID of its own.
func (s slice) of(d gpu.Device, card string) gpu.Device {
	d.VRAM = d.VRAM * uint64(s.memory) / uint64(s.card.memory)
	d.Name += " MIG " + s.name
	d.MIG = gpu.MIG{Parent: card, Profile: s.name}
	d.Power = gpu.PowerLimits{} // only the card has any
	return d
}

// lacking is what a driver reads of a slice: less than of a card.
func lacking(s gpu.Sample) gpu.Sample {
	s.Utilisation, s.Power, s.PowerLimit, s.Energy = 0, 0, 0, 0
	s.Lacks |= gpu.ReadUtilisation | gpu.ReadPower | gpu.ReadPowerLimit | gpu.ReadEnergy
	return s
}
