package nvml

import (
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/pci"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// fromSample is a sample as the node keeps it. Its time is the node's.
func fromSample(s *nvmlv1.Sample, now time.Time) gpu.Sample {
	out := gpu.Sample{
		UUID:           s.Uuid,
		At:             now.Add(-time.Duration(s.AgeMs) * time.Millisecond),
		Utilisation:    uint8(min(s.Utilisation, 100)),
		MemoryUsed:     s.MemoryUsed,
		Power:          s.PowerMw,
		PowerLimit:     s.PowerLimitMw,
		PowerSetting:   s.PowerSettingMw,
		Energy:         s.EnergyMj,
		Temperature:    int16(s.Temperature),
		ClockSM:        s.ClockSmMhz,
		ClockMemory:    s.ClockMemoryMhz,
		Throttle:       gpu.Throttle(s.Throttle),
		ECCCorrected:   s.EccCorrected,
		ECCUncorrected: s.EccUncorrected,
		Lacks:          gpu.Reading(s.Lacks) &^ gpu.ReadXid,
	}
	for _, p := range s.Processes {
		kind := gpu.ProcessCompute
		if p.Graphics {
			kind = gpu.ProcessGraphics
		}
		out.Processes = append(out.Processes, gpu.Process{PID: p.Pid, Name: p.Name, Memory: p.Memory, Kind: kind})
	}
	return out
}

// fromDevice is a device as the driver alone tells of it.
func fromDevice(d *nvmlv1.Device) gpu.Device {
	model, _ := gpu.Identify(d.Name, d.VramBytes)
	out := gpu.Device{
		UUID:  d.Uuid,
		Model: model,
		VRAM:  d.VramBytes,
		Name:  d.Name,
		PCI: gpu.PCI{
			Address:    pci.Address(d.PciAddress),
			Vendor:     uint16(d.PciDeviceId),
			ID:         uint16(d.PciDeviceId >> 16),
			Generation: uint8(d.PcieGeneration),
			Width:      uint8(d.PcieWidth),
		},
		Power:    gpu.PowerLimits{Now: d.PowerNowMw, Default: d.PowerDefaultMw, Least: d.PowerLeastMw, Most: d.PowerMostMw},
		ECC:      d.Ecc,
		MIG:      gpu.MIG{Enabled: d.MigEnabled, Parent: d.MigParent, Profile: d.MigProfile},
		NUMANode: -1,
	}
	if d.CapabilityMajor > 0 {
		out.Capability = gpu.Version(fmt.Sprintf("%d.%d", d.CapabilityMajor, d.CapabilityMinor))
	}
	switch {
	case d.Lost:
		out.Fault, out.FaultText = gpu.FaultLost, d.Trouble
	case d.Trouble != "":
		out.Fault, out.FaultText = gpu.FaultDriver, d.Trouble
	}
	return out
}

// cudaVersion reads 12040 as 12.4.
func cudaVersion(n uint32) gpu.Version {
	if n == 0 {
		return ""
	}
	return gpu.Version(fmt.Sprintf("%d.%d", n/1000, n%1000/10))
}
