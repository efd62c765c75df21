package nvml

import (
	"fmt"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
)

// MinDriver is the oldest driver that is lent with: the first that runs CUDA 12.
const MinDriver gpu.Version = "525.60.13"

// MinToolkit is the oldest NVIDIA Container Toolkit whose hooks do not let a container
// take over its host (CVE-2025-23266). Tasks run without any of its hooks, also when a file in
// /etc/cdi names some; other containers of the machine may not.
const MinToolkit gpu.Version = "1.17.8"

// safe are the first drivers of each branch without publicly known holes, by
// NVIDIA's security bulletin 5861 of 2026. Branches that are not here get no
// repairs, unless they are newer than all of these.
var safe = []gpu.Version{"580.178.04", "595.91.07", "610.57.04", "615.71.09"}

// CheckDriver says what is wrong with a driver's version; nil: nothing known.
func CheckDriver(v gpu.Version) *gpu.Problem {
	if !v.AtLeast(MinDriver) {
		return &gpu.Problem{Code: "old-driver", Text: fmt.Sprintf("NVIDIA's driver %s is older than %s", v, MinDriver),
			Remedy: "install " + string(safe[0]) + " or newer"}
	}
	for _, first := range safe {
		if branch(v) == branch(first) {
			if v.AtLeast(first) {
				return nil
			}
			return &gpu.Problem{Code: "unsafe-driver", Text: fmt.Sprintf("NVIDIA's driver %s has known holes that %s closes", v, first),
				Remedy: "install " + string(first) + " or newer"}
		}
	}
	if v.AtLeast(safe[len(safe)-1]) {
		return nil
	}
	return &gpu.Problem{Code: "unsafe-driver", Text: fmt.Sprintf("NVIDIA's driver %s is of a branch that gets no repairs any more", v),
		Remedy: "install " + string(safe[0]) + " or newer; a card too old for it is lent at your own risk"}
}

func branch(v gpu.Version) string {
	major, _, _ := strings.Cut(string(v), ".")
	return major
}

// CheckToolkit says what is wrong with a version of NVIDIA Container Toolkit; nil: nothing known.
func CheckToolkit(v gpu.Version) *gpu.Problem {
	if v.AtLeast(MinToolkit) {
		return nil
	}
	return &gpu.Problem{Code: "unsafe-toolkit",
		Text:   fmt.Sprintf("NVIDIA Container Toolkit %s is older than %s, whose hooks let a container take over its host", v, MinToolkit),
		Remedy: "update nvidia-container-toolkit, and run nvidia-ctk cdi generate again"}
}
