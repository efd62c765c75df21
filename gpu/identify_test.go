package gpu

import (
	"regexp"
	"testing"
)

// names are what nvidia-smi prints, with the memory it prints beside it.
var names = []struct {
	name string
	mib  uint64
	slug string
}{
	{"NVIDIA GeForce RTX 5090", 32607, "rtx-5090"},
	{"NVIDIA GeForce RTX 5090 D", 32607, "rtx-5090-d"},
	{"NVIDIA GeForce RTX 5080", 16303, "rtx-5080"},
	{"NVIDIA GeForce RTX 5070 Ti", 16303, "rtx-5070-ti"},
	{"NVIDIA GeForce RTX 5070", 12227, "rtx-5070"},
	{"NVIDIA GeForce RTX 5060 Ti", 16311, "rtx-5060-ti-16gb"},
	{"NVIDIA GeForce RTX 5060 Ti", 8151, "rtx-5060-ti"},
	{"NVIDIA GeForce RTX 4090", 24564, "rtx-4090"},
	{"NVIDIA GeForce RTX 4090 D", 24564, "rtx-4090-d"},
	{"NVIDIA GeForce RTX 4090 Laptop GPU", 16376, "rtx-4090-laptop"},
	{"NVIDIA GeForce RTX 4080 SUPER", 16376, "rtx-4080-super"},
	{"NVIDIA GeForce RTX 4080", 16376, "rtx-4080"},
	{"NVIDIA GeForce RTX 4070 Ti SUPER", 16376, "rtx-4070-ti-super"},
	{"NVIDIA GeForce RTX 4070 Ti", 12282, "rtx-4070-ti"},
	{"NVIDIA GeForce RTX 4070 SUPER", 12282, "rtx-4070-super"},
	{"NVIDIA GeForce RTX 4070", 12282, "rtx-4070"},
	{"NVIDIA GeForce RTX 4060 Ti", 16380, "rtx-4060-ti-16gb"},
	{"NVIDIA GeForce RTX 4060 Ti", 8188, "rtx-4060-ti"},
	{"NVIDIA GeForce RTX 4060", 8188, "rtx-4060"},
	{"NVIDIA GeForce RTX 3090 Ti", 24564, "rtx-3090-ti"},
	{"NVIDIA GeForce RTX 3090", 24576, "rtx-3090"},
	{"GeForce RTX 3090", 24268, "rtx-3090"}, // drivers before 470 leave the maker out
	{"NVIDIA GeForce RTX 3080 Ti", 12288, "rtx-3080-ti"},
	{"NVIDIA GeForce RTX 3080", 10240, "rtx-3080"},
	{"NVIDIA GeForce RTX 3080", 12288, "rtx-3080-12gb"},
	{"NVIDIA GeForce RTX 3070 Ti", 8192, "rtx-3070-ti"},
	{"NVIDIA GeForce RTX 3070", 8192, "rtx-3070"},
	{"NVIDIA GeForce RTX 3060 Ti", 8192, "rtx-3060-ti"},
	{"NVIDIA GeForce RTX 3060", 12288, "rtx-3060"},
	{"NVIDIA GeForce RTX 3050", 8192, "rtx-3050"},
	{"NVIDIA GeForce RTX 2080 Ti", 11264, "rtx-2080-ti"},
	{"GeForce RTX 2080 Ti", 11019, "rtx-2080-ti"},
	{"NVIDIA GeForce RTX 2080 SUPER", 8192, "rtx-2080-super"},
	{"NVIDIA GeForce RTX 2070 SUPER", 8192, "rtx-2070-super"},
	{"NVIDIA GeForce RTX 2060", 6144, "rtx-2060"},
	{"NVIDIA GeForce RTX 2060", 12288, "rtx-2060-12gb"},
	{"NVIDIA GeForce GTX 1660 SUPER", 6144, "gtx-1660-super"},
	{"NVIDIA GeForce GTX 1660 Ti", 6144, "gtx-1660-ti"},
	{"NVIDIA GeForce GTX 1080 Ti", 11264, "gtx-1080-ti"},
	{"NVIDIA GeForce GTX 1070 Ti", 8192, "gtx-1070-ti"},
	{"NVIDIA GeForce GTX 1060 6GB", 6144, "gtx-1060"},
	{"NVIDIA GeForce GTX 1060 3GB", 3072, "gtx-1060-3gb"},
	{"NVIDIA A100-SXM4-80GB", 81920, "a100-sxm4-80gb"},
	{"NVIDIA A100-SXM4-40GB", 40960, "a100-sxm4-40gb"},
	{"A100-SXM4-40GB", 40537, "a100-sxm4-40gb"},
	{"NVIDIA A100 80GB PCIe", 81920, "a100-pcie-80gb"},
	{"NVIDIA A100-PCIE-40GB", 40960, "a100-pcie-40gb"},
	{"NVIDIA A10", 23028, "a10"},
	{"NVIDIA A10G", 23028, "a10g"},
	{"NVIDIA A30", 24576, "a30"},
	{"NVIDIA A40", 46068, "a40"},
	{"NVIDIA H100 80GB HBM3", 81559, "h100-sxm"},
	{"NVIDIA H100 PCIe", 81559, "h100-pcie"},
	{"NVIDIA H100 NVL", 95830, "h100-nvl"},
	{"NVIDIA H200", 143771, "h200"},
	{"NVIDIA H200 NVL", 143771, "h200-nvl"},
	{"NVIDIA H20", 97871, "h20"},
	{"NVIDIA GH200 480GB", 97871, "gh200"},
	{"NVIDIA B200", 183359, "b200"},
	{"NVIDIA L4", 23034, "l4"},
	{"NVIDIA L40", 46068, "l40"},
	{"NVIDIA L40S", 46068, "l40s"},
	{"NVIDIA RTX 6000 Ada Generation", 49140, "rtx-6000-ada"},
	{"NVIDIA RTX 5000 Ada Generation", 32760, "rtx-5000-ada"},
	{"NVIDIA RTX 4000 SFF Ada Generation", 20475, "rtx-4000-sff-ada"},
	{"NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 97887, "rtx-pro-6000"},
	{"NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887, "rtx-pro-6000-server"},
	{"NVIDIA RTX A6000", 49140, "rtx-a6000"},
	{"RTX A6000", 48685, "rtx-a6000"},
	{"NVIDIA RTX A4000", 16376, "rtx-a4000"},
	{"Quadro RTX 8000", 46080, "quadro-rtx-8000"},
	{"Quadro RTX 6000", 24576, "quadro-rtx-6000"},
	{"Tesla T4", 15360, "t4"},
	{"Tesla V100-SXM2-16GB", 16384, "v100-sxm2-16gb"},
	{"Tesla V100-SXM2-32GB", 32768, "v100-sxm2-32gb"},
	{"Tesla V100-PCIE-16GB", 16160, "v100-pcie-16gb"},
	{"Tesla P100-PCIE-16GB", 16384, "p100-pcie-16gb"},
	{"Tesla P40", 24576, "p40"},
	{"Tesla K80", 11441, "k80"},
	{"NVIDIA TITAN RTX", 24576, "titan-rtx"},
	{"NVIDIA TITAN Xp", 12288, "titan-xp"},
	{"NVIDIA CMP 170HX", 8192, "cmp-170hx"},
	{"NVIDIA P106-100", 6144, "p106-100"},
	{"NVIDIA GeForce RTX 3070 Laptop GPU", 8192, "rtx-3070-laptop"},
	{"NVIDIA T1000 8GB", 8192, "t1000-8gb"},
	{"Orin (nvgpu)", 62841, "orin-nvgpu"},
}

func TestIdentifyKnowsWhatDriversCallTheirCards(t *testing.T) {
	if len(names) < 60 {
		t.Errorf("only %d names", len(names))
	}
	for _, n := range names {
		got, known := Identify(n.name, n.mib*MiB)
		if got != n.slug {
			t.Errorf("%q with %d MiB is %q: want %q", n.name, n.mib, got, n.slug)
		}
		if _, listed := Lookup(got); listed != known {
			t.Errorf("%q is known: %t, and listed: %t", n.name, known, listed)
		}
	}
}

func TestEveryModelOfTheCatalogIsFoundByItsOwnName(t *testing.T) {
	for _, m := range catalog {
		for _, maker := range []string{"", "NVIDIA "} {
			if got, known := Identify(maker+m.Name, m.VRAM); got != m.Slug || !known {
				t.Errorf("%s%s with %s is %q", maker, m.Name, FormatVRAM(m.VRAM), got)
			}
		}
	}
}

var slugForm = regexp.MustCompile(`^([a-z0-9]+(-[a-z0-9]+)*)?$`)

func FuzzIdentify(f *testing.F) {
	f.Add("NVIDIA GeForce RTX 4090")
	f.Add("\x00 -- ")
	f.Fuzz(func(t *testing.T, name string) {
		slug, _ := Identify(name, 0)
		if !slugForm.MatchString(slug) || len(slug) > maxSlug {
			t.Errorf("%q gives the slug %q", name, slug)
		}
	})
}
