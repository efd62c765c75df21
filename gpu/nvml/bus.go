package nvml

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/pci"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// bus is what the kernel says there is: the PCI bus, and NVIDIA's module.
type bus struct {
	cards  []pci.Card
	module pci.Module
	loaded bool
}

func (b bus) has(vendor uint16) bool {
	return slices.ContainsFunc(b.cards, func(c pci.Card) bool { return c.Vendor == vendor })
}

// without is the inventory of a machine whose driver told nothing; err says why, nil: it was not asked.
func (b bus) without(err error) gpu.Inventory {
	v := gpu.Inventory{Driver: b.module.Version, Others: b.others(nil)}
	switch {
	case err == nil && len(b.cards) == 0:
		v.Problems = []gpu.Problem{{Code: "no-gpu", Text: "the PCI bus has no GPU", Remedy: "lend a simulated one: --simulate-gpu rtx-4090"}}
	case err == nil:
		v.Problems = []gpu.Problem{{Code: "no-nvidia", Text: "no card is NVIDIA's, and only those can be lent yet", Remedy: "lend a simulated one: --simulate-gpu rtx-4090"}}
	case errors.Is(err, ErrNoDriver):
		v.Problems = []gpu.Problem{{Code: "no-driver", Text: err.Error(), Remedy: "install NVIDIA's driver, " + string(MinDriver) + " or newer, and reboot"}}
	case errors.Is(err, ErrOldDriver):
		v.Problems = []gpu.Problem{{Code: "old-driver", Text: err.Error(), Remedy: "install NVIDIA's driver, " + string(MinDriver) + " or newer, and reboot"}}
	case errors.Is(err, ErrHang):
		v.Problems = []gpu.Problem{{Code: "driver-hangs", Text: err.Error(), Remedy: "look for Xid in the kernel's log; a reboot may be needed"}}
	default:
		v.Problems = []gpu.Problem{{Code: "no-inventory", Text: err.Error(), Remedy: "see whether nvidia-smi works"}}
	}
	return v
}

// with is the inventory of a machine whose driver answered.
func (b bus) with(told *nvmlv1.Inventory) gpu.Inventory {
	v := gpu.Inventory{Driver: gpu.Version(told.Driver), CUDA: cudaVersion(told.Cuda)}
	byUUID := make(map[string]*gpu.Device)
	taken := make(map[string]string) // PCI address → UUID
	for _, d := range told.Devices {
		device := fromDevice(d)
		device.Driver, device.CUDA = v.Driver, v.CUDA
		if parent := byUUID[device.MIG.Parent]; parent != nil {
			inherit(&device, *parent)
		} else {
			b.check(&device, taken)
		}
		v.Devices = append(v.Devices, device)
		byUUID[device.UUID] = &device
	}
	link(v.Devices, told.Devices)
	slices.SortStableFunc(v.Devices, func(a, b gpu.Device) int { return strings.Compare(a.PCI.Address, b.PCI.Address) })
	v.Others = b.others(taken)
	v.Problems = b.problems(v)
	return v
}

// inherit gives a slice what it has from its card.
func inherit(slice *gpu.Device, card gpu.Device) {
	slice.Model = card.Model
	slice.Capability, slice.PCI, slice.ECC, slice.NUMANode = card.Capability, card.PCI, card.ECC, card.NUMANode
	if card.Fault != gpu.FaultNone {
		slice.Fault, slice.FaultText = card.Fault, card.FaultText
	}
}

// check holds a card against the bus: a library that makes cards up cannot make
// up what the kernel enumerated.
func (b bus) check(d *gpu.Device, taken map[string]string) {
	fail := func(format string, args ...any) {
		d.Fault, d.FaultText = gpu.FaultBus, fmt.Sprintf(format, args...)
	}
	if other := taken[d.PCI.Address]; other != "" {
		fail("the driver says that it sits at %s, where it says %s sits", d.PCI.Address, other)
		return
	}
	at := slices.IndexFunc(b.cards, func(c pci.Card) bool { return c.Address == d.PCI.Address })
	if at < 0 {
		fail("the driver says that it sits at %s, where the PCI bus has no GPU", d.PCI.Address)
		return
	}
	taken[d.PCI.Address] = d.UUID
	card := b.cards[at]
	if card.Vendor != d.PCI.Vendor || card.ID != d.PCI.ID {
		fail("the driver calls the card at %s %04x:%04x, the PCI bus %04x:%04x", d.PCI.Address, d.PCI.Vendor, d.PCI.ID, card.Vendor, card.ID)
		return
	}
	if known := b.module.UUIDs[d.PCI.Address]; known != "" && known != d.UUID {
		fail("the kernel module says that the card at %s is %s", d.PCI.Address, known)
		return
	}
	d.PCI.Switch, d.NUMANode = card.Switch, card.NUMANode
	if d.PCI.Generation == 0 {
		d.PCI.Generation, d.PCI.Width = card.Generation, card.Width
	}
}

// link names the far ends of links by UUID. Devices on switches all reach one another.
func link(devices []gpu.Device, told []*nvmlv1.Device) {
	at := make(map[string]string)
	var switched []string
	for i, d := range devices {
		if d.Slice() {
			continue
		}
		at[d.PCI.Address] = d.UUID
		if told[i].NvlinkSwitch {
			switched = append(switched, d.UUID)
		}
	}
	for i := range devices {
		d := &devices[i]
		var peers []string
		for _, far := range told[i].NvlinkPci {
			peers = append(peers, at[pci.Address(far)])
		}
		if told[i].NvlinkSwitch {
			peers = append(peers, switched...)
		}
		slices.Sort(peers)
		peers = slices.Compact(peers)
		d.NVLink = slices.DeleteFunc(peers, func(uuid string) bool { return uuid == "" || uuid == d.UUID })
		if len(d.NVLink) == 0 {
			d.NVLink = nil
		}
	}
}

// others are the cards of the bus that are not in taken.
func (b bus) others(taken map[string]string) []gpu.Other {
	var others []gpu.Other
	for _, c := range b.cards {
		if taken[c.Address] == "" {
			others = append(others, gpu.Other{PCI: c.PCI, Vendor: vendorName(c.Vendor), Driver: c.Driver, Reason: b.reason(c)})
		}
	}
	return others
}

func (b bus) reason(c pci.Card) string {
	switch {
	case c.Vendor != pci.NVIDIA:
		return "only NVIDIA's cards can be lent yet"
	case c.Driver == "" && !b.loaded:
		return "no driver is loaded for it"
	case c.Driver == "vfio-pci":
		return "it is set aside for a virtual machine (vfio-pci)"
	case c.Driver != "" && c.Driver != "nvidia":
		return "its driver is " + c.Driver + ", and lending takes NVIDIA's own"
	}
	return "NVIDIA's driver does not list it: it may have fallen off the bus"
}

func vendorName(id uint16) string {
	switch id {
	case pci.NVIDIA:
		return "NVIDIA"
	case pci.AMD:
		return "AMD"
	case pci.Intel:
		return "Intel"
	}
	return fmt.Sprintf("vendor %04x", id)
}

// problems are those of the whole machine, when its driver answered.
func (b bus) problems(v gpu.Inventory) []gpu.Problem {
	var problems []gpu.Problem
	if b.loaded && b.module.Version != "" && b.module.Version.Compare(v.Driver) != 0 {
		problems = append(problems, gpu.Problem{Code: "driver-mismatch",
			Text:   fmt.Sprintf("the library says that the driver is %s, the kernel module that it is %s", v.Driver, b.module.Version),
			Remedy: "reboot after the update"})
	}
	if p := CheckDriver(v.Driver); p != nil {
		problems = append(problems, *p)
	}
	if len(v.Devices) == 0 {
		problems = append(problems, gpu.Problem{Code: "no-gpu", Text: "NVIDIA's driver has no card", Remedy: "see whether nvidia-smi -L lists one"})
	}
	return problems
}
