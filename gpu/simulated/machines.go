package simulated

import "github.com/rigmesh/rigmesh/gpu"

// machines are whole machines by name.
var machines = map[string]func() []blank{
	"home":       func() []blank { return cards("rtx-4090") },
	"eight-h100": eightH100,
	"mining-rig": func() []blank {
		return cards("rtx-3060", "rtx-3080", "gtx-1660-super", "rtx-3060", "rtx-3090", "rtx-3070")
	},
}

func cards(slugs ...string) []blank {
	var out []blank
	for _, slug := range slugs {
		m, ok := gpu.Lookup(slug)
		if !ok {
			panic("simulated: no model " + slug)
		}
		out = append(out, blank{model: m})
	}
	return out
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
