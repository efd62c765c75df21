package market

import (
	"testing"

	"github.com/rigmesh/rigmesh/gpu"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

func TestWhatAJobWantsIsSaidWhole(t *testing.T) {
	for _, c := range []struct {
		want    string
		need    *marketv1.Requirement
		res     *marketv1.Resources
		regions []string
	}{
		{"1 GPU", &marketv1.Requirement{Count: 1}, nil, nil},
		{"2 GPUs, rtx-4090 or l40s, 24 GiB of VRAM, in eu or us", &marketv1.Requirement{Count: 2, Models: []string{"rtx-4090", "l40s"},
			VramBytes: 24 * gpu.GiB}, nil, []string{"eu", "us"}},
		{"2× 1g.10gb slice", &marketv1.Requirement{Count: 2, Mig: "1g.10gb"}, nil, nil},
		{"4 GPUs, compute capability 8.9, driver 580, CUDA 12.8, linked by NVLink, all that the machine lends",
			&marketv1.Requirement{Count: 4, Capability: "8.9", Driver: "580", Cuda: "12.8", Nvlink: true, Exclusive: true}, nil, nil},
		{"1 GPU, 0.5 cores, 8 GiB of memory, 100 GiB of disk", &marketv1.Requirement{Count: 1},
			&marketv1.Resources{CpuMillis: 500, MemoryBytes: 8 * gpu.GiB, DiskBytes: 100 * gpu.GiB}, nil},
	} {
		if got := Wanted(c.need, c.res, c.regions); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
