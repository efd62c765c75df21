package simulated

import "github.com/rigmesh/rigmesh/gpu"

// machines are whole machines by name.
var machines = map[string]func() []blank{
	"home":       func() []blank { return cards("rtx-4090") },
	"eight-h100": eightH100,
	"mig-h100":   migH100,
	"mining-rig": func() []blank {
		return cards("rtx-3060", "rtx-3080", "gtx-1660-super", "rtx-3060", "rtx-3090", "rtx-3070")
	},
}

func cards(slugs ...string) []blank {
	var models []gpu.Model
	for _, slug := range slugs {
		models = append(models, known(slug))
	}
	return whole(models...)
}

// known is a model of the catalog.
func known(slug string) gpu.Model {
	m, ok := gpu.Lookup(slug)
	if !ok {
		panic("simulated: no model " + slug)
	}
	return m
}

func whole(models ...gpu.Model) []blank {
	var out []blank
	for i, m := range models {
		out = append(out, blank{model: m, card: i})
	}
	return out
}

// migH100 is two cards, the second of them cut into slices of several sizes.
func migH100() []blank {
	h100 := known("h100-sxm")
	var wanted []slice
	for _, name := range []string{"3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"} {
		s, err := sliceOf(h100, name)
		if err != nil {
			panic("simulated: " + err.Error())
		}
		wanted = append(wanted, s)
	}
	all := whole(h100)
	for _, b := range cut(h100, wanted...) {
		b.card++ // after the whole one
		all = append(all, b)
	}
	return all
}

// eightH100 are two boards of four cards: NVLink within a board, two cards on each switch.
func eightH100() []blank {
	all := cards("h100-sxm", "h100-sxm", "h100-sxm", "h100-sxm", "h100-sxm", "h100-sxm", "h100-sxm", "h100-sxm")
	bridges := []string{"ffff:00:01.0", "ffff:00:02.0", "ffff:00:03.0", "ffff:00:04.0"}
	for i := range all {
		all[i].bridge = bridges[i/2]
		for far := i / 4 * 4; far < i/4*4+4; far++ {
			if far != i {
				all[i].links = append(all[i].links, far)
			}
		}
	}
	return all
}
