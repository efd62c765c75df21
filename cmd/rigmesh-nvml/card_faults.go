//go:build linux && cgo && faults

package main

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	mockserver "github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
)

// card adds to a mocked device what the mock leaves out, and its faults.
type card struct {
	*mockserver.Device
	machine *machine
	limit   atomic.Uint32 // milliwatts; 0: the default
	energy  atomic.Uint64 // millijoules
}

const (
	leastPower   = 100_000
	defaultPower = 400_000
)

func (c *card) meet() nvml.Return { return c.machine.faults.meet(c.Index) }

// GetName is without the word that some of the mocks put before it.
func (c *card) GetName() (string, nvml.Return) {
	name, ret := c.Device.GetName()
	return strings.TrimPrefix(name, "Mock "), ret
}

func (c *card) GetMemoryInfo() (nvml.Memory, nvml.Return) {
	if ret := c.meet(); ret != nvml.SUCCESS {
		return nvml.Memory{}, ret
	}
	return c.Device.GetMemoryInfo()
}

func (c *card) GetPciInfo() (nvml.PciInfo, nvml.Return) {
	info, ret := c.Device.GetPciInfo()
	for i, char := range fmt.Sprintf("%08X:%02X:00.0", 0, c.Index+1) {
		info.BusId[i] = int8(char)
	}
	info.Bus = uint32(c.Index + 1)
	return info, ret
}

func (c *card) GetUtilizationRates() (nvml.Utilization, nvml.Return) {
	return nvml.Utilization{Gpu: uint32(10 * c.Index)}, c.meet()
}

func (c *card) GetTemperature(nvml.TemperatureSensors) (uint32, nvml.Return) {
	if hot := c.machine.faults.values("heat", c.Index); len(hot) > 0 {
		return uint32(hot[0]), c.meet()
	}
	return uint32(30 + c.Index), c.meet()
}

func (c *card) GetPowerUsage() (uint32, nvml.Return) { return 60_000, c.meet() }

func (c *card) GetPowerManagementLimit() (uint32, nvml.Return) {
	if set := c.limit.Load(); set != 0 {
		return set, c.meet()
	}
	return defaultPower, c.meet()
}

func (c *card) GetEnforcedPowerLimit() (uint32, nvml.Return) {
	limit, ret := c.GetPowerManagementLimit()
	for _, watts := range c.machine.faults.values("enforced", c.Index) {
		limit = min(limit, uint32(watts)*1000)
	}
	return limit, ret
}

func (c *card) GetPowerManagementDefaultLimit() (uint32, nvml.Return) {
	return defaultPower, nvml.SUCCESS
}

func (c *card) GetPowerManagementLimitConstraints() (uint32, uint32, nvml.Return) {
	return leastPower, defaultPower, nvml.SUCCESS
}

func (c *card) SetPowerManagementLimit(limit uint32) nvml.Return {
	c.limit.Store(limit)
	return c.meet()
}

// GetTotalEnergyConsumption goes up by a minute's worth a call, so that tests see it move.
func (c *card) GetTotalEnergyConsumption() (uint64, nvml.Return) {
	return c.energy.Add(3_600_000), c.meet()
}

func (c *card) GetClockInfo(nvml.ClockType) (uint32, nvml.Return) { return 1410, c.meet() }

func (c *card) GetCurrentClocksThrottleReasons() (uint64, nvml.Return) {
	return nvml.ClocksThrottleReasonGpuIdle, c.meet()
}

func (c *card) GetTotalEccErrors(nvml.MemoryErrorType, nvml.EccCounterType) (uint64, nvml.Return) {
	return 0, c.meet()
}

func (c *card) GetEccMode() (nvml.EnableState, nvml.EnableState, nvml.Return) {
	return nvml.FEATURE_ENABLED, nvml.FEATURE_ENABLED, nvml.SUCCESS
}

func (c *card) GetMaxPcieLinkGeneration() (int, nvml.Return) { return 4, nvml.SUCCESS }
func (c *card) GetMaxPcieLinkWidth() (int, nvml.Return)      { return 16, nvml.SUCCESS }

func (c *card) GetComputeRunningProcesses() ([]nvml.ProcessInfo, nvml.Return) {
	var all []nvml.ProcessInfo
	for _, pid := range c.machine.faults.values("process", c.Index) {
		all = append(all, nvml.ProcessInfo{Pid: uint32(pid), UsedGpuMemory: 1 << 30})
	}
	return all, c.meet()
}

func (c *card) GetGraphicsRunningProcesses() ([]nvml.ProcessInfo, nvml.Return) {
	return nil, c.meet()
}

// GetNvLinkState: every pair of cards, 0 and 1, 2 and 3, … has one link.
func (c *card) GetNvLinkState(link int) (nvml.EnableState, nvml.Return) {
	if link > 0 {
		return nvml.FEATURE_DISABLED, nvml.ERROR_INVALID_ARGUMENT
	}
	return nvml.FEATURE_ENABLED, nvml.SUCCESS
}

func (c *card) GetNvLinkRemoteDeviceType(int) (nvml.IntNvLinkDeviceType, nvml.Return) {
	return nvml.NVLINK_DEVICE_TYPE_GPU, nvml.SUCCESS
}

func (c *card) GetNvLinkRemotePciInfo(int) (nvml.PciInfo, nvml.Return) {
	return c.machine.cards[c.Index^1].GetPciInfo()
}

func (c *card) RegisterEvents(uint64, nvml.EventSet) nvml.Return { return nvml.SUCCESS }

func (c *card) GetMigMode() (int, int, nvml.Return) {
	if c.machine.faults.has("mig", fmt.Sprint(c.Index)) {
		return nvml.DEVICE_MIG_ENABLE, nvml.DEVICE_MIG_ENABLE, nvml.SUCCESS
	}
	return c.Device.GetMigMode()
}

func (c *card) GetMaxMigDeviceCount() (int, nvml.Return) { return 7, nvml.SUCCESS }

func (c *card) GetMigDeviceHandleByIndex(index int) (nvml.Device, nvml.Return) {
	all := c.slices()
	if index >= len(all) {
		return nil, nvml.ERROR_NOT_FOUND
	}
	return all[index], nvml.SUCCESS
}

func (c *card) slices() []*slice {
	if mode, _, _ := c.GetMigMode(); mode != nvml.DEVICE_MIG_ENABLE {
		return nil
	}
	var all []*slice
	for i := range 2 {
		all = append(all, &slice{card: c, uuid: fmt.Sprintf("MIG-%08x-0000-4000-8000-%012x", c.Index, i)})
	}
	return all
}

// slice is half of a card in MIG mode. It tells less than a card.
type slice struct {
	*card
	uuid string
}

func (s *slice) GetUUID() (string, nvml.Return) { return s.uuid, nvml.SUCCESS }

func (s *slice) GetName() (string, nvml.Return) {
	return "NVIDIA A100-SXM4-40GB MIG 3g.20gb", nvml.SUCCESS
}

func (s *slice) GetMemoryInfo() (nvml.Memory, nvml.Return) {
	return nvml.Memory{Total: 19968 << 20, Free: 19968 << 20}, s.meet()
}

func (s *slice) GetUtilizationRates() (nvml.Utilization, nvml.Return) {
	return nvml.Utilization{}, nvml.ERROR_NOT_SUPPORTED
}

func (s *slice) GetPowerUsage() (uint32, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED }

func (s *slice) GetTotalEnergyConsumption() (uint64, nvml.Return) {
	return 0, nvml.ERROR_NOT_SUPPORTED
}
