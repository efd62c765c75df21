package gpu

import (
	"slices"
	"strings"
)

// makers are what drivers put before a product's name, or leave out.
var makers = []string{"NVIDIA ", "GRID "}

// Identify is the slug of a device by the name and the memory that its driver
// reports. A name that the catalog lacks gets a slug made from it, by the rules the
// catalog's were made by, so that a card can be lent before this program knows it;
// known is false then. The slug is "" when the name has no letter or digit.
func Identify(name string, vram uint64) (slug string, known bool) {
	name = strings.TrimSpace(name)
	for _, maker := range makers {
		name = strings.TrimPrefix(name, maker)
	}
	best, least := "", ^uint64(0)
	for _, m := range catalog {
		if strings.EqualFold(m.Name, name) && far(m.VRAM, vram) < least {
			best, least = m.Slug, far(m.VRAM, vram)
		}
	}
	if best != "" {
		return best, true
	}
	return derive(name), false
}

func far(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// silent are words of a name that tell no model from another.
var silent = []string{"geforce", "tesla", "nvidia", "graphics", "gpu", "generation", "edition"}

const maxSlug = 48 // bytes; a longer name is cut

func derive(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	var kept []string
	for _, w := range words {
		if !slices.Contains(silent, w) {
			kept = append(kept, w)
		}
	}
	slug := strings.Join(kept, "-")
	if len(slug) > maxSlug {
		slug = slug[:maxSlug]
	}
	return strings.Trim(slug, "-")
}
