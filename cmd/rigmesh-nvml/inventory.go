//go:build linux && cgo

package main

import (
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// unit is a card or a slice of one, with the driver's handle.
type unit struct {
	nvml.Device
	uuid   string
	parent string // UUID; "" for a card
}

// cards lists the cards. One whose handle the driver refuses is left out: its
// place on the PCI bus tells the node that it is there.
func (l *library) cards() ([]unit, error) {
	count, ret := l.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return nil, explain("count devices", ret)
	}
	var cards []unit
	for i := range count {
		handle, ret := l.DeviceGetHandleByIndex(i)
		if ret != nvml.SUCCESS {
			continue
		}
		if uuid, ret := handle.GetUUID(); ret == nvml.SUCCESS {
			cards = append(cards, unit{Device: handle, uuid: uuid})
		}
	}
	return cards, nil
}

// slices lists the slices of a card in MIG mode.
func (l *library) slices(card unit) []unit {
	if !l.cut(card) || !l.has("nvmlDeviceGetMaxMigDeviceCount") {
		return nil
	}
	most, ret := card.GetMaxMigDeviceCount()
	if ret != nvml.SUCCESS {
		return nil
	}
	var slices []unit
	for i := range most {
		handle, ret := card.GetMigDeviceHandleByIndex(i)
		if ret != nvml.SUCCESS {
			continue // not every place is taken
		}
		if uuid, ret := handle.GetUUID(); ret == nvml.SUCCESS {
			slices = append(slices, unit{Device: handle, uuid: uuid, parent: card.uuid})
		}
	}
	return slices
}

func (l *library) cut(card unit) bool {
	if !l.has("nvmlDeviceGetMigMode") {
		return false
	}
	mode, _, ret := card.GetMigMode()
	return ret == nvml.SUCCESS && mode == nvml.DEVICE_MIG_ENABLE
}

// units lists every card and slice.
func (l *library) units() ([]unit, error) {
	cards, err := l.cards()
	if err != nil {
		return nil, err
	}
	var all []unit
	for _, card := range cards {
		all = append(append(all, card), l.slices(card)...)
	}
	return all, nil
}

// find is the unit of a UUID.
func (l *library) find(uuid string) (unit, error) {
	all, err := l.units()
	if err != nil {
		return unit{}, err
	}
	for _, u := range all {
		if u.uuid == uuid {
			return u, nil
		}
	}
	return unit{}, &failure{nvmlv1.Error_CODE_NO_DEVICE, "the driver has no device " + uuid}
}

// inventory is all that the driver tells of this machine.
func (l *library) inventory() (*nvmlv1.Inventory, error) {
	driver, ret := l.SystemGetDriverVersion()
	if ret != nvml.SUCCESS {
		return nil, explain("ask for the driver's version", ret)
	}
	cuda, _ := l.SystemGetCudaDriverVersion()
	all, err := l.units()
	if err != nil {
		return nil, err
	}
	inventory := &nvmlv1.Inventory{Driver: driver, Cuda: uint32(cuda)}
	for _, u := range all {
		inventory.Devices = append(inventory.Devices, l.describe(u))
	}
	return inventory, nil
}

// describe reads one unit, as far as it goes.
func (l *library) describe(u unit) *nvmlv1.Device {
	d := &nvmlv1.Device{Uuid: u.uuid, MigParent: u.parent}
	must := func(what string, ret nvml.Return) {
		if ret != nvml.SUCCESS && d.Trouble == "" {
			d.Trouble, d.Lost = what+": "+describe(ret), lost(ret)
		}
	}
	var ret nvml.Return
	d.Name, ret = u.GetName()
	must("read the name", ret)
	memory, ret := u.GetMemoryInfo()
	must("read the size of the memory", ret)
	d.VramBytes = memory.Total
	if u.parent != "" {
		_, d.MigProfile, _ = strings.Cut(d.Name, " MIG ")
		return d
	}
	major, minor, ret := u.GetCudaComputeCapability()
	must("read the compute capability", ret)
	d.CapabilityMajor, d.CapabilityMinor = uint32(major), uint32(minor)
	pci, ret := u.GetPciInfo()
	must("read the place on the bus", ret)
	d.PciAddress, d.PciDeviceId = text(pci.BusId[:]), pci.PciDeviceId
	number, ret := u.GetMinorNumber()
	must("read the number of its file", ret)
	d.Minor = uint32(number)
	d.MigEnabled = l.cut(u)
	l.describeMore(u, d)
	return d
}

// describeMore reads what some cards and drivers do not have.
func (l *library) describeMore(u unit, d *nvmlv1.Device) {
	if l.has("nvmlDeviceGetMaxPcieLinkGeneration") {
		generation, _ := u.GetMaxPcieLinkGeneration()
		width, _ := u.GetMaxPcieLinkWidth()
		d.PcieGeneration, d.PcieWidth = uint32(generation), uint32(width)
	}
	if l.has("nvmlDeviceGetPowerManagementLimitConstraints") {
		least, most, ret := u.GetPowerManagementLimitConstraints()
		if ret == nvml.SUCCESS {
			d.PowerLeastMw, d.PowerMostMw = least, most
			d.PowerNowMw, _ = u.GetPowerManagementLimit()
			d.PowerDefaultMw, _ = u.GetPowerManagementDefaultLimit()
		}
	}
	if l.has("nvmlDeviceGetEccMode") {
		mode, _, ret := u.GetEccMode()
		d.Ecc = ret == nvml.SUCCESS && mode == nvml.FEATURE_ENABLED
	}
	if l.has("nvmlDeviceGetNvLinkState") && l.has("nvmlDeviceGetNvLinkRemotePciInfo_v2") {
		l.describeLinks(u, d)
	}
}

func (l *library) describeLinks(u unit, d *nvmlv1.Device) {
	kinds := l.has("nvmlDeviceGetNvLinkRemoteDeviceType")
	for link := range nvml.NVLINK_MAX_LINKS {
		state, ret := u.GetNvLinkState(link)
		if ret != nvml.SUCCESS {
			return // there are no more
		}
		if state != nvml.FEATURE_ENABLED {
			continue
		}
		if kinds {
			if kind, ret := u.GetNvLinkRemoteDeviceType(link); ret == nvml.SUCCESS && kind == nvml.NVLINK_DEVICE_TYPE_SWITCH {
				d.NvlinkSwitch = true
				continue
			}
		}
		if far, ret := u.GetNvLinkRemotePciInfo(link); ret == nvml.SUCCESS {
			d.NvlinkPci = append(d.NvlinkPci, text(far.BusId[:]))
		}
	}
}

// text is a string of C.
func text(chars []int8) string {
	var b strings.Builder
	for _, c := range chars {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}
