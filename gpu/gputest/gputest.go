// Package gputest has canned machines for tests. Each call gives fresh devices.
package gputest

import (
	"fmt"

	"github.com/rigmesh/rigmesh/gpu"
)

// None is a machine without a GPU.
func None() []gpu.Device { return nil }

// One4090 is a home machine with one RTX 4090.
func One4090() []gpu.Device { return Machine("rtx-4090") }

// EightH100 is a server with eight H100 SXM.
func EightH100() []gpu.Device {
	return Machine("h100-sxm", "h100-sxm", "h100-sxm", "h100-sxm", "h100-sxm", "h100-sxm", "h100-sxm", "h100-sxm")
}

// MiningRig is a rig of seven unlike cards.
func MiningRig() []gpu.Device {
	return Machine("rtx-3060", "rtx-3080", "gtx-1660-super", "rtx-3060", "rtx-3090", "rtx-3070", "gtx-1660-super")
}

// Machine has one device of each given model, in that order. It panics on a model the catalog lacks.
func Machine(models ...string) []gpu.Device {
	var devices []gpu.Device
	for i, slug := range models {
		m, ok := gpu.Lookup(slug)
		if !ok {
			panic("gputest: no model " + slug)
		}
		devices = append(devices, gpu.Device{
			UUID:  fmt.Sprintf("GPU-%08x-0000-4000-8000-%012x", i, i),
			Model: m.Slug,
			VRAM:  m.VRAM,
		})
	}
	return devices
}
