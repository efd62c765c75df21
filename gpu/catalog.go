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

// catalog is sorted by slug. Two sizes of one product are two models, even where
// the driver calls both the same.
var catalog = []Model{
	{"a10", "A10", 23028 * MiB},
	{"a100-pcie-40gb", "A100-PCIE-40GB", 40960 * MiB},
	{"a100-pcie-80gb", "A100 80GB PCIe", 81920 * MiB},
	{"a100-sxm4-40gb", "A100-SXM4-40GB", 40960 * MiB},
	{"a100-sxm4-80gb", "A100-SXM4-80GB", 81920 * MiB},
	{"a16", "A16", 15356 * MiB},
	{"a2", "A2", 15356 * MiB},
	{"a30", "A30", 24576 * MiB},
	{"a40", "A40", 46068 * MiB},
	{"b200", "B200", 183359 * MiB},
	{"b300", "B300 SXM6 AC", 275040 * MiB},
	{"gb200", "GB200", 189471 * MiB},
	{"gh200", "GH200 480GB", 97871 * MiB},
	{"gtx-1060", "GeForce GTX 1060 6GB", 6144 * MiB},
	{"gtx-1060-3gb", "GeForce GTX 1060 3GB", 3072 * MiB},
	{"gtx-1070", "GeForce GTX 1070", 8192 * MiB},
	{"gtx-1070-ti", "GeForce GTX 1070 Ti", 8192 * MiB},
	{"gtx-1080", "GeForce GTX 1080", 8192 * MiB},
	{"gtx-1080-ti", "GeForce GTX 1080 Ti", 11264 * MiB},
	{"gtx-1660", "GeForce GTX 1660", 6144 * MiB},
	{"gtx-1660-super", "GeForce GTX 1660 SUPER", 6144 * MiB},
	{"gtx-1660-ti", "GeForce GTX 1660 Ti", 6144 * MiB},
	{"h100-nvl", "H100 NVL", 95830 * MiB},
	{"h100-pcie", "H100 PCIe", 81559 * MiB},
	{"h100-sxm", "H100 80GB HBM3", 81559 * MiB},
	{"h20", "H20", 97871 * MiB},
	{"h200", "H200", 143771 * MiB},
	{"h200-nvl", "H200 NVL", 143771 * MiB},
	{"l4", "L4", 23034 * MiB},
	{"l40", "L40", 46068 * MiB},
	{"l40s", "L40S", 46068 * MiB},
	{"p100-pcie-16gb", "Tesla P100-PCIE-16GB", 16384 * MiB},
	{"p100-sxm2-16gb", "Tesla P100-SXM2-16GB", 16384 * MiB},
	{"p4", "Tesla P4", 7680 * MiB},
	{"p40", "Tesla P40", 24576 * MiB},
	{"quadro-rtx-4000", "Quadro RTX 4000", 8192 * MiB},
	{"quadro-rtx-5000", "Quadro RTX 5000", 16384 * MiB},
	{"quadro-rtx-6000", "Quadro RTX 6000", 24576 * MiB},
	{"quadro-rtx-8000", "Quadro RTX 8000", 49152 * MiB},
	{"rtx-2000-ada", "RTX 2000 Ada Generation", 16380 * MiB},
	{"rtx-2060", "GeForce RTX 2060", 6144 * MiB},
	{"rtx-2060-12gb", "GeForce RTX 2060", 12288 * MiB},
	{"rtx-2060-super", "GeForce RTX 2060 SUPER", 8192 * MiB},
	{"rtx-2070", "GeForce RTX 2070", 8192 * MiB},
	{"rtx-2070-super", "GeForce RTX 2070 SUPER", 8192 * MiB},
	{"rtx-2080", "GeForce RTX 2080", 8192 * MiB},
	{"rtx-2080-super", "GeForce RTX 2080 SUPER", 8192 * MiB},
	{"rtx-2080-ti", "GeForce RTX 2080 Ti", 11264 * MiB},
	{"rtx-3050", "GeForce RTX 3050", 8192 * MiB},
	{"rtx-3050-6gb", "GeForce RTX 3050 6GB", 6144 * MiB},
	{"rtx-3060", "GeForce RTX 3060", 12288 * MiB},
	{"rtx-3060-8gb", "GeForce RTX 3060", 8192 * MiB},
	{"rtx-3060-ti", "GeForce RTX 3060 Ti", 8192 * MiB},
	{"rtx-3070", "GeForce RTX 3070", 8192 * MiB},
	{"rtx-3070-ti", "GeForce RTX 3070 Ti", 8192 * MiB},
	{"rtx-3080", "GeForce RTX 3080", 10240 * MiB},
	{"rtx-3080-12gb", "GeForce RTX 3080", 12288 * MiB},
	{"rtx-3080-ti", "GeForce RTX 3080 Ti", 12288 * MiB},
	{"rtx-3090", "GeForce RTX 3090", 24576 * MiB},
	{"rtx-3090-ti", "GeForce RTX 3090 Ti", 24564 * MiB},
	{"rtx-4000-ada", "RTX 4000 Ada Generation", 20475 * MiB},
	{"rtx-4000-sff-ada", "RTX 4000 SFF Ada Generation", 20475 * MiB},
	{"rtx-4060", "GeForce RTX 4060", 8188 * MiB},
	{"rtx-4060-ti", "GeForce RTX 4060 Ti", 8188 * MiB},
	{"rtx-4060-ti-16gb", "GeForce RTX 4060 Ti", 16380 * MiB},
	{"rtx-4070", "GeForce RTX 4070", 12282 * MiB},
	{"rtx-4070-super", "GeForce RTX 4070 SUPER", 12282 * MiB},
	{"rtx-4070-ti", "GeForce RTX 4070 Ti", 12282 * MiB},
	{"rtx-4070-ti-super", "GeForce RTX 4070 Ti SUPER", 16376 * MiB},
	{"rtx-4080", "GeForce RTX 4080", 16376 * MiB},
	{"rtx-4080-super", "GeForce RTX 4080 SUPER", 16376 * MiB},
	{"rtx-4090", "GeForce RTX 4090", 24564 * MiB},
	{"rtx-4090-d", "GeForce RTX 4090 D", 24564 * MiB},
	{"rtx-4090-laptop", "GeForce RTX 4090 Laptop GPU", 16376 * MiB},
	{"rtx-4500-ada", "RTX 4500 Ada Generation", 24570 * MiB},
	{"rtx-5000-ada", "RTX 5000 Ada Generation", 32760 * MiB},
	{"rtx-5060", "GeForce RTX 5060", 8151 * MiB},
	{"rtx-5060-ti", "GeForce RTX 5060 Ti", 8151 * MiB},
	{"rtx-5060-ti-16gb", "GeForce RTX 5060 Ti", 16311 * MiB},
	{"rtx-5070", "GeForce RTX 5070", 12227 * MiB},
	{"rtx-5070-ti", "GeForce RTX 5070 Ti", 16303 * MiB},
	{"rtx-5080", "GeForce RTX 5080", 16303 * MiB},
	{"rtx-5090", "GeForce RTX 5090", 32607 * MiB},
	{"rtx-5090-d", "GeForce RTX 5090 D", 32607 * MiB},
	{"rtx-6000-ada", "RTX 6000 Ada Generation", 49140 * MiB},
	{"rtx-a2000", "RTX A2000", 6138 * MiB},
	{"rtx-a2000-12gb", "RTX A2000 12GB", 12282 * MiB},
	{"rtx-a4000", "RTX A4000", 16376 * MiB},
	{"rtx-a4500", "RTX A4500", 20470 * MiB},
	{"rtx-a5000", "RTX A5000", 24564 * MiB},
	{"rtx-a5500", "RTX A5500", 24564 * MiB},
	{"rtx-a6000", "RTX A6000", 49140 * MiB},
	{"rtx-pro-4500", "RTX PRO 4500 Blackwell", 32623 * MiB},
	{"rtx-pro-5000", "RTX PRO 5000 Blackwell", 48935 * MiB},
	{"rtx-pro-6000", "RTX PRO 6000 Blackwell Workstation Edition", 97887 * MiB},
	{"rtx-pro-6000-max-q", "RTX PRO 6000 Blackwell Max-Q Workstation Edition", 97887 * MiB},
	{"rtx-pro-6000-server", "RTX PRO 6000 Blackwell Server Edition", 97887 * MiB},
	{"t4", "Tesla T4", 15360 * MiB},
	{"titan-rtx", "TITAN RTX", 24576 * MiB},
	{"titan-v", "TITAN V", 12288 * MiB},
	{"titan-xp", "TITAN Xp", 12288 * MiB},
	{"v100-pcie-16gb", "Tesla V100-PCIE-16GB", 16384 * MiB},
	{"v100-pcie-32gb", "Tesla V100-PCIE-32GB", 32768 * MiB},
	{"v100-sxm2-16gb", "Tesla V100-SXM2-16GB", 16384 * MiB},
	{"v100-sxm2-32gb", "Tesla V100-SXM2-32GB", 32768 * MiB},
	{"v100s-pcie-32gb", "Tesla V100S-PCIE-32GB", 32768 * MiB},
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
		if len(typed) >= 3 && (strings.Contains(squeeze(m.Slug), squeeze(typed)) || partsOf(typed, m.Slug)) {
			d = 0 // "4090", "rtx4090", "a100-80gb": parts of it, or another way to write it
		}
		if d < least {
			best, least = m.Slug, d
		}
	}
	return best
}

func squeeze(s string) string { return strings.ReplaceAll(s, "-", "") }

// partsOf says whether every word of typed is a word of slug.
func partsOf(typed, slug string) bool {
	words := strings.Split(slug, "-")
	for word := range strings.SplitSeq(typed, "-") {
		if !slices.Contains(words, word) {
			return false
		}
	}
	return true
}

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
