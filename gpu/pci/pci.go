// Package pci reads which GPUs a machine has from the kernel: from sysfs, which
// no driver's library can make up, and from what the NVIDIA module itself tells.
package pci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
)

// The makers of GPUs that are told apart.
const (
	NVIDIA uint16 = 0x10de
	AMD    uint16 = 0x1002
	Intel  uint16 = 0x8086
)

// Card is one GPU on the bus.
type Card struct {
	gpu.PCI
	NUMANode int    // -1: none
	Driver   string // kernel driver bound to it; "" when none is
}

// Cards lists the GPUs of the machine whose file system is at root ("/" for this
// one), by address. A machine without a PCI bus has none.
func Cards(root string) ([]Card, error) {
	dir := filepath.Join(root, "sys/bus/pci/devices")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the PCI bus: %w", err)
	}
	var cards []Card
	for _, e := range entries {
		at := filepath.Join(dir, e.Name())
		if isGPU(number(at, "class")) {
			cards = append(cards, read(at, e.Name()))
		}
	}
	slices.SortFunc(cards, func(a, b Card) int { return strings.Compare(a.Address, b.Address) })
	return cards, nil
}

// isGPU tells by the class: VGA controllers, 3D controllers (cards without an
// output), and AMD's accelerators ("processing accelerator").
func isGPU(class uint64) bool {
	switch class >> 8 {
	case 0x0300, 0x0302, 0x0380, 0x1200:
		return true
	}
	return false
}

func read(at, address string) Card {
	c := Card{PCI: gpu.PCI{
		Address:    Address(address),
		Vendor:     uint16(number(at, "vendor")),
		ID:         uint16(number(at, "device")),
		Generation: generation(line(at, "max_link_speed")),
		Switch:     switchOf(at),
	}, NUMANode: -1}
	if width, err := strconv.ParseUint(line(at, "max_link_width"), 10, 8); err == nil {
		c.Width = uint8(width)
	}
	if node, err := strconv.Atoi(line(at, "numa_node")); err == nil {
		c.NUMANode = node
	}
	if driver, err := os.Readlink(filepath.Join(at, "driver")); err == nil {
		c.Driver = filepath.Base(driver)
	}
	return c
}

// line is the content of a small file; "" when it cannot be read.
func line(dir, name string) string {
	content, _ := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(content))
}

func number(dir, name string) uint64 {
	n, _ := strconv.ParseUint(line(dir, name), 0, 64)
	return n
}

// generation is the PCIe generation of a link speed: "16.0 GT/s PCIe" is 4.
func generation(speed string) uint8 {
	switch figure, _, _ := strings.Cut(speed, " "); figure {
	case "2.5":
		return 1
	case "5.0", "5":
		return 2
	case "8.0", "8":
		return 3
	case "16.0", "16":
		return 4
	case "32.0", "32":
		return 5
	case "64.0", "64":
		return 6
	}
	return 0
}

// switchOf is the address of the upstream port of the switch above a device: its
// path is root, root port, upstream port, downstream port, device. Without a
// switch there is a root port alone, or nothing.
func switchOf(at string) string {
	path, err := filepath.EvalSymlinks(at)
	if err != nil {
		return ""
	}
	var above []string // devices of the bus, from the top
	for part := range strings.SplitSeq(filepath.Dir(path), string(filepath.Separator)) {
		if isAddress(part) {
			above = append(above, part)
		}
	}
	if len(above) < 3 {
		return ""
	}
	return above[len(above)-2]
}

func isAddress(s string) bool {
	return strings.Count(s, ":") == 2 && strings.Contains(s, ".") && !strings.HasPrefix(s, "pci")
}

// Address is a PCI address as sysfs writes it. Drivers write eight digits of
// domain and capitals: "00000000:65:00.0" is "0000:65:00.0".
func Address(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	domain, rest, ok := strings.Cut(s, ":")
	if !ok {
		return s
	}
	n, err := strconv.ParseUint(domain, 16, 32)
	if err != nil {
		return s
	}
	return fmt.Sprintf("%04x:%s", n, rest)
}
