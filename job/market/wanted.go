package market

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Wanted words what a job asks for: "1 GPU, rtx-4090 or l40s, 24 GiB of VRAM, 8 cores, in eu".
// The resources may be nil.
func Wanted(need *marketv1.Requirement, res *marketv1.Resources, regions []string) string {
	parts := []string{gpus(need.GetCount())}
	if mig := need.GetMig(); mig != "" {
		parts[0] = fmt.Sprintf("%d× %s", need.GetCount(), sliced(mig))
	}
	if models := need.GetModels(); len(models) > 0 {
		parts = append(parts, strings.Join(models, " or "))
	}
	for _, p := range []struct{ what, least string }{
		{"%s of VRAM", bytesText(need.GetVramBytes())},
		{"compute capability %s", need.GetCapability()},
		{"driver %s", need.GetDriver()},
		{"CUDA %s", need.GetCuda()},
		{"%s", cores(res.GetCpuMillis())},
		{"%s of memory", bytesText(res.GetMemoryBytes())},
		{"%s of disk", bytesText(res.GetDiskBytes())},
		{"in %s", strings.Join(regions, " or ")},
	} {
		if p.least != "" {
			parts = append(parts, fmt.Sprintf(p.what, p.least))
		}
	}
	if need.GetNvlink() {
		parts = append(parts, "linked by NVLink")
	}
	if need.GetExclusive() {
		parts = append(parts, "all that the machine lends")
	}
	return job.CleanText(strings.Join(parts, ", "))
}

// bytesText is a size; "" when none is asked for.
func bytesText(n uint64) string {
	if n == 0 {
		return ""
	}
	return gpu.FormatVRAM(n)
}

// cores writes thousandths of a core: "8 cores", "0.5 cores"; "" for none.
func cores(millis uint64) string {
	switch millis {
	case 0:
		return ""
	case 1000:
		return "1 core"
	}
	return strconv.FormatFloat(float64(millis)/1000, 'f', -1, 64) + " cores"
}
