package gpu

import (
	"slices"
	"strings"
)

// Model is one kind of GPU.
type Model struct {
	Slug string // what jobs and offers name: "rtx-4090"
	Name string // the driver's product name, without "NVIDIA"
	VRAM uint64 // bytes, as the driver reports them in the default ECC mode
}

// catalog is sorted by slug. Two sizes of one product are two models.
var catalog = []Model{
	{"a10", "A10", 23028 * MiB},
	{"a100-40g", "A100-SXM4-40GB", 40960 * MiB},
	{"a100-80g", "A100-SXM4-80GB", 81920 * MiB},
	{"a30", "A30", 24576 * MiB},
	{"a40", "A40", 46068 * MiB},
	{"b200", "B200", 183359 * MiB},
	{"gtx-1060", "GeForce GTX 1060 6GB", 6144 * MiB},
	{"gtx-1070", "GeForce GTX 1070", 8192 * MiB},
	{"gtx-1080", "GeForce GTX 1080", 8192 * MiB},
	{"gtx-1080-ti", "GeForce GTX 1080 Ti", 11264 * MiB},
	{"gtx-1660-super", "GeForce GTX 1660 SUPER", 6144 * MiB},
	{"h100-nvl", "H100 NVL", 95830 * MiB},
	{"h100-pcie", "H100 PCIe", 81559 * MiB},
	{"h100-sxm", "H100 80GB HBM3", 81559 * MiB},
	{"h200", "H200", 143771 * MiB},
	{"l4", "L4", 23034 * MiB},
	{"l40", "L40", 46068 * MiB},
	{"l40s", "L40S", 46068 * MiB},
	{"p100", "Tesla P100-PCIE-16GB", 16384 * MiB},
	{"p40", "Tesla P40", 24576 * MiB},
	{"quadro-rtx-6000", "Quadro RTX 6000", 24576 * MiB},
	{"quadro-rtx-8000", "Quadro RTX 8000", 49152 * MiB},
	{"rtx-2060", "GeForce RTX 2060", 6144 * MiB},
	{"rtx-2070", "GeForce RTX 2070", 8192 * MiB},
	{"rtx-2080", "GeForce RTX 2080", 8192 * MiB},
	{"rtx-2080-ti", "GeForce RTX 2080 Ti", 11264 * MiB},
	{"rtx-3060", "GeForce RTX 3060", 12288 * MiB},
	{"rtx-3060-ti", "GeForce RTX 3060 Ti", 8192 * MiB},
	{"rtx-3070", "GeForce RTX 3070", 8192 * MiB},
	{"rtx-3070-ti", "GeForce RTX 3070 Ti", 8192 * MiB},
	{"rtx-3080", "GeForce RTX 3080", 10240 * MiB},
	{"rtx-3080-ti", "GeForce RTX 3080 Ti", 12288 * MiB},
	{"rtx-3090", "GeForce RTX 3090", 24576 * MiB},
	{"rtx-3090-ti", "GeForce RTX 3090 Ti", 24564 * MiB},
	{"rtx-4060", "GeForce RTX 4060", 8188 * MiB},
	{"rtx-4060-ti", "GeForce RTX 4060 Ti", 8188 * MiB},
	{"rtx-4060-ti-16g", "GeForce RTX 4060 Ti 16GB", 16380 * MiB},
	{"rtx-4070", "GeForce RTX 4070", 12282 * MiB},
	{"rtx-4070-super", "GeForce RTX 4070 SUPER", 12282 * MiB},
	{"rtx-4070-ti", "GeForce RTX 4070 Ti", 12282 * MiB},
	{"rtx-4070-ti-super", "GeForce RTX 4070 Ti SUPER", 16376 * MiB},
	{"rtx-4080", "GeForce RTX 4080", 16376 * MiB},
	{"rtx-4080-super", "GeForce RTX 4080 SUPER", 16376 * MiB},
	{"rtx-4090", "GeForce RTX 4090", 24564 * MiB},
	{"rtx-5070", "GeForce RTX 5070", 12227 * MiB},
	{"rtx-5070-ti", "GeForce RTX 5070 Ti", 16303 * MiB},
	{"rtx-5080", "GeForce RTX 5080", 16303 * MiB},
	{"rtx-5090", "GeForce RTX 5090", 32607 * MiB},
	{"rtx-6000-ada", "RTX 6000 Ada Generation", 49140 * MiB},
	{"rtx-a4000", "RTX A4000", 16376 * MiB},
	{"rtx-a5000", "RTX A5000", 24564 * MiB},
	{"rtx-a6000", "RTX A6000", 49140 * MiB},
	{"t4", "Tesla T4", 15360 * MiB},
	{"v100-16g", "Tesla V100-SXM2-16GB", 16384 * MiB},
	{"v100-32g", "Tesla V100-SXM2-32GB", 32768 * MiB},
}

// Catalog lists every known model, by slug.
func Catalog() []Model { return slices.Clone(catalog) }

// Lookup finds a model by its slug.
func Lookup(slug string) (Model, bool) {
	i, ok := slices.BinarySearchFunc(catalog, slug, func(m Model, s string) int { return strings.Compare(m.Slug, s) })
	if !ok {
		return Model{}, false
	}
	return catalog[i], true
}

// Nearest is the known slug that a mistyped one most likely means; "" when none is near.
func Nearest(typed string) string {
	typed = strings.ToLower(strings.NewReplacer("_", "-", " ", "-").Replace(typed))
	best, least := "", len(typed)/3+2
	for _, m := range catalog {
		d := distance(typed, m.Slug)
		if len(typed) >= 3 && strings.Contains(squeeze(m.Slug), squeeze(typed)) {
			d = 0 // "4090", "rtx4090": a part of it, or another way to write it
		}
		if d < least {
			best, least = m.Slug, d
		}
	}
	return best
}

func squeeze(s string) string { return strings.ReplaceAll(s, "-", "") }

// distance is the number of single-byte edits between a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
