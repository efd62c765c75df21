package market

import (
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Wanted words what a job asks for: "1 GPU, rtx-4090 or l40s, 24 GiB of VRAM, in eu".
func Wanted(need *marketv1.Requirement, regions []string) string {
	parts := []string{gpus(need.GetCount())}
	if models := need.GetModels(); len(models) > 0 {
		parts = append(parts, strings.Join(models, " or "))
	}
	if v := need.GetVramBytes(); v > 0 {
		parts = append(parts, gpu.FormatVRAM(v)+" of VRAM")
	}
	if c := need.GetCapability(); c != "" {
		parts = append(parts, "compute capability "+c)
	}
	if len(regions) > 0 {
		parts = append(parts, "in "+strings.Join(regions, " or "))
	}
	return job.CleanText(strings.Join(parts, ", "))
}
