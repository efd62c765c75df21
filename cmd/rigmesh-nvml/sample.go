//go:build linux && cgo

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/rigmesh/rigmesh/gpu"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// reading is one sample being read: what is lacking is noted, a lost card ends it.
type reading struct {
	lib    *library
	sample *nvmlv1.Sample
}

// try asks for one reading, unless the driver lacks the function or the card is gone.
func (r *reading) try(part gpu.Reading, symbol string, ask func() nvml.Return) {
	if r.sample.Lost {
		return
	}
	ret := nvml.ERROR_FUNCTION_NOT_FOUND
	if r.lib.has(symbol) {
		ret = ask()
	}
	switch {
	case ret == nvml.SUCCESS:
	case lost(ret):
		r.sample.Lost = true
	default:
		r.sample.Lacks |= uint32(part)
	}
}

// read takes one sample of a unit. It may hang.
func (l *library) read(u unit) *nvmlv1.Sample {
	s := &nvmlv1.Sample{Uuid: u.uuid, Lacks: uint32(gpu.ReadXid)} // Xids are counted by the node
	r := &reading{lib: l, sample: s}
	r.try(gpu.ReadUtilisation, "nvmlDeviceGetUtilizationRates", func() nvml.Return {
		rates, ret := u.GetUtilizationRates()
		s.Utilisation = rates.Gpu
		return ret
	})
	r.try(gpu.ReadMemory, "nvmlDeviceGetMemoryInfo", func() nvml.Return {
		memory, ret := u.GetMemoryInfo()
		s.MemoryUsed = memory.Used
		return ret
	})
	r.try(gpu.ReadTemperature, "nvmlDeviceGetTemperature", func() nvml.Return {
		degrees, ret := u.GetTemperature(nvml.TEMPERATURE_GPU)
		s.Temperature = int32(degrees)
		return ret
	})
	r.power(u)
	r.clocks(u)
	r.errors(u)
	r.try(gpu.ReadProcesses, "nvmlDeviceGetComputeRunningProcesses", func() nvml.Return { return r.processes(u) })
	if s.Lost {
		return &nvmlv1.Sample{Uuid: u.uuid, Lost: true}
	}
	return s
}

func (r *reading) power(u unit) {
	r.try(gpu.ReadPower, "nvmlDeviceGetPowerUsage", func() (ret nvml.Return) {
		r.sample.PowerMw, ret = u.GetPowerUsage()
		return ret
	})
	r.try(gpu.ReadPowerLimit, "nvmlDeviceGetEnforcedPowerLimit", func() (ret nvml.Return) {
		r.sample.PowerLimitMw, ret = u.GetEnforcedPowerLimit()
		return ret
	})
	if r.lib.has("nvmlDeviceGetPowerManagementLimit") {
		if setting, ret := u.GetPowerManagementLimit(); ret == nvml.SUCCESS {
			r.sample.PowerSettingMw = setting
		}
	}
	r.try(gpu.ReadEnergy, "nvmlDeviceGetTotalEnergyConsumption", func() (ret nvml.Return) {
		r.sample.EnergyMj, ret = u.GetTotalEnergyConsumption()
		return ret
	})
}

func (r *reading) clocks(u unit) {
	r.try(gpu.ReadClocks, "nvmlDeviceGetClockInfo", func() nvml.Return {
		var ret, second nvml.Return
		r.sample.ClockSmMhz, ret = u.GetClockInfo(nvml.CLOCK_SM)
		r.sample.ClockMemoryMhz, second = u.GetClockInfo(nvml.CLOCK_MEM)
		if ret == nvml.SUCCESS {
			ret = second
		}
		return ret
	})
	r.try(gpu.ReadThrottle, "nvmlDeviceGetCurrentClocksThrottleReasons", func() nvml.Return {
		reasons, ret := u.GetCurrentClocksThrottleReasons()
		r.sample.Throttle = uint32(throttle(reasons))
		return ret
	})
}

func (r *reading) errors(u unit) {
	r.try(gpu.ReadECC, "nvmlDeviceGetTotalEccErrors", func() nvml.Return {
		var ret, second nvml.Return
		r.sample.EccCorrected, ret = u.GetTotalEccErrors(nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.VOLATILE_ECC)
		r.sample.EccUncorrected, second = u.GetTotalEccErrors(nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.VOLATILE_ECC)
		if ret == nvml.SUCCESS {
			ret = second
		}
		return ret
	})
}

// throttles pairs the driver's bits with ours.
var throttles = []struct {
	theirs uint64
	ours   gpu.Throttle
}{
	{nvml.ClocksThrottleReasonGpuIdle, gpu.ThrottleIdle},
	{nvml.ClocksThrottleReasonApplicationsClocksSetting, gpu.ThrottleSettings},
	{nvml.ClocksThrottleReasonSwPowerCap, gpu.ThrottlePower},
	{nvml.ClocksThrottleReasonSwThermalSlowdown, gpu.ThrottleHeat},
	{nvml.ClocksThrottleReasonHwThermalSlowdown, gpu.ThrottleHardwareHeat},
	{nvml.ClocksThrottleReasonHwPowerBrakeSlowdown, gpu.ThrottleBrake},
}

func throttle(reasons uint64) gpu.Throttle {
	var t gpu.Throttle
	for _, pair := range throttles {
		if reasons&pair.theirs != 0 {
			t |= pair.ours
		}
		reasons &^= pair.theirs
	}
	// "Hardware slowdown" stands for one of the hardware's reasons and says nothing beside them.
	if t&(gpu.ThrottleHardwareHeat|gpu.ThrottleBrake) != 0 {
		reasons &^= nvml.ClocksThrottleReasonHwSlowdown
	}
	if reasons != 0 {
		t |= gpu.ThrottleOther
	}
	return t
}

// unknownMemory is what the driver writes where it does not know a process's share.
const unknownMemory = ^uint64(0)

func (r *reading) processes(u unit) nvml.Return {
	compute, ret := u.GetComputeRunningProcesses()
	if ret != nvml.SUCCESS {
		return ret
	}
	r.add(compute, false)
	if r.lib.has("nvmlDeviceGetGraphicsRunningProcesses") {
		if graphics, ret := u.GetGraphicsRunningProcesses(); ret == nvml.SUCCESS {
			r.add(graphics, true)
		}
	}
	return nvml.SUCCESS
}

func (r *reading) add(processes []nvml.ProcessInfo, graphics bool) {
	for _, p := range processes {
		if p.UsedGpuMemory == unknownMemory {
			p.UsedGpuMemory = 0
		}
		r.sample.Processes = append(r.sample.Processes, &nvmlv1.Process{
			Pid: p.Pid, Memory: p.UsedGpuMemory, Graphics: graphics, Name: programOf(p.Pid),
		})
	}
}

// programOf is the name of a process's program; "" when it has ended.
func programOf(pid uint32) string {
	dir := filepath.Join("/proc", strconv.FormatUint(uint64(pid), 10))
	if path, err := os.Readlink(filepath.Join(dir, "exe")); err == nil {
		return strings.TrimSuffix(filepath.Base(path), " (deleted)")
	}
	comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
	return strings.TrimSpace(string(comm))
}
