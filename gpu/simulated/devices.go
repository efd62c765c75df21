// Package simulated makes up machines: devices of any model, and telemetry that
// moves as that of real cards does, as a function of time and load. Everything it
// makes is marked as simulated.
package simulated

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
)

// MaxDevices is the most devices one machine may have.
const MaxDevices = 64

// The driver of simulated devices.
const (
	driver = gpu.Version("580.95.05")
	cuda   = gpu.Version("13.0")
)

// Devices makes the devices of a list such as "rtx-4090:2,rtx-3060": models of
// the catalog, each with a count (1 when none is given), or one of Machines. The
// UUIDs are derived from the worker's public key and the position, so that they are the same
// after a restart and differ from every other worker's.
func Devices(list string, workerKey []byte) ([]gpu.Device, error) {
	var devices []gpu.Device
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		made, err := makeItem(item)
		if err != nil {
			return nil, fmt.Errorf("simulated devices %q: %w", list, err)
		}
		if len(devices)+len(made) > MaxDevices {
			return nil, fmt.Errorf("simulated devices %q: at most %d devices", list, MaxDevices)
		}
		devices = append(devices, place(made, len(devices), workerKey)...)
	}
	return devices, nil
}

// makeItem makes the devices of one item, without UUIDs: links are positions in it.
func makeItem(item string) ([]blank, error) {
	if m, ok := machines[item]; ok {
		return m(), nil
	}
	model, count, err := parse(item)
	if err != nil {
		return nil, err
	}
	return slices.Repeat([]blank{{model: model}}, count), nil
}

// blank is a device to be.
type blank struct {
	model  gpu.Model
	links  []int // positions in its machine
	bridge string
}

// place gives devices their UUIDs and addresses.
func place(made []blank, first int, workerKey []byte) []gpu.Device {
	devices := make([]gpu.Device, len(made))
	for i, b := range made {
		f := figuresOf(b.model)
		devices[i] = gpu.Device{
			UUID: uuid(workerKey, first+i), Model: b.model.Slug, VRAM: b.model.VRAM, Simulated: true,
			Name: "Simulated " + b.model.Name, Capability: f.capability, Driver: driver, CUDA: cuda,
			PCI:      gpu.PCI{Address: fmt.Sprintf("ffff:%02x:00.0", first+i+1), Generation: 4, Width: 16, Switch: b.bridge},
			Power:    gpu.PowerLimits{Now: f.most, Default: f.most, Least: f.most / 3, Most: f.most},
			NUMANode: -1,
		}
		for _, far := range b.links {
			devices[i].NVLink = append(devices[i].NVLink, uuid(workerKey, first+far))
		}
		slices.Sort(devices[i].NVLink)
	}
	return devices
}

func parse(item string) (gpu.Model, int, error) {
	slug, times, counted := strings.Cut(item, ":")
	count := 1
	if counted {
		n, err := strconv.Atoi(times)
		if err != nil || n < 1 || n > MaxDevices {
			return gpu.Model{}, 0, fmt.Errorf("%q: want a count from 1 to %d after the colon", item, MaxDevices)
		}
		count = n
	}
	model, ok := gpu.Lookup(slug)
	if ok {
		return model, count, nil
	}
	switch near := gpu.Nearest(slug); {
	case slug == "":
		return gpu.Model{}, 0, fmt.Errorf("%q names no model: want MODEL or MODEL:COUNT, such as rtx-4090:2", item)
	case near != "":
		return gpu.Model{}, 0, fmt.Errorf("unknown model %q: did you mean %s?", slug, near)
	default:
		return gpu.Model{}, 0, fmt.Errorf("unknown model %q: known are %s; and whole machines: %s",
			slug, strings.Join(slugs(), ", "), strings.Join(Machines(), ", "))
	}
}

// uuid names the device at a position of a worker's list.
func uuid(workerKey []byte, index int) string {
	key := sha256.Sum256(workerKey) // fixed length, whatever was given
	h := sha256.New()
	h.Write([]byte("rigmesh/1/simulated-gpu\x00"))
	h.Write(key[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(index)))
	return "SIM-" + hex.EncodeToString(h.Sum(nil)[:16])
}

func slugs() []string {
	var out []string
	for _, m := range gpu.Catalog() {
		out = append(out, m.Slug)
	}
	return out
}

// Machines lists the names of whole machines, sorted.
func Machines() []string { return slices.Sorted(maps.Keys(machines)) }
