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

// Machine is made-up devices.
type Machine struct {
	Devices []gpu.Device
	flaky   map[string]bool // UUIDs of those that fail now and then
}

// Make makes the machine of a list such as "rtx-4090:2,h100-sxm:1g.10gb:7,flaky:rtx-3060".
// An item is a model of the catalog or one of Machines; a model may have a MIG profile, which
// makes it slices of as few cards as will do, and a count (1 when none is given). What
// begins with "flaky:" fails now and then. The UUIDs are derived from the worker's public key
// and the position, so that they are the same after a restart and differ from every other worker's.
func Make(list string, workerKey []byte) (Machine, error) {
	m := Machine{flaky: map[string]bool{}}
	for item := range strings.SplitSeq(list, ",") {
		kind, flaky := strings.CutPrefix(strings.TrimSpace(item), "flaky:")
		made, err := makeItem(kind)
		if err != nil {
			return Machine{}, fmt.Errorf("simulated devices %q: %w", list, err)
		}
		if len(m.Devices)+len(made) > MaxDevices {
			return Machine{}, fmt.Errorf("simulated devices %q: at most %d devices", list, MaxDevices)
		}
		for _, d := range place(made, len(m.Devices), workerKey) {
			m.Devices = append(m.Devices, d)
			m.flaky[d.UUID] = flaky
		}
	}
	return m, nil
}

// makeItem makes the devices of one item, without UUIDs: links and cards are positions in it.
func makeItem(item string) ([]blank, error) {
	if m, ok := machines[item]; ok {
		return m(), nil
	}
	model, profile, count, err := parse(item)
	switch {
	case err != nil:
		return nil, err
	case profile != (slice{}):
		return cut(model, slices.Repeat([]slice{profile}, count)...), nil
	}
	return whole(slices.Repeat([]gpu.Model{model}, count)...), nil
}

// blank is a device to be.
type blank struct {
	model  gpu.Model
	slice  slice // zero: a whole card
	card   int   // position in its machine of the first device of its card: its own, but for slices
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
			PCI:      gpu.PCI{Address: fmt.Sprintf("ffff:%02x:00.0", first+b.card+1), Generation: 4, Width: 16, Switch: b.bridge},
			Power:    gpu.PowerLimits{Now: f.most, Default: f.most, Least: f.most / 3, Most: f.most},
			NUMANode: -1,
		}
		if b.slice != (slice{}) {
			devices[i] = b.slice.of(devices[i], uuid(workerKey, MaxDevices+first+b.card))
		}
		for _, far := range b.links {
			devices[i].NVLink = append(devices[i].NVLink, uuid(workerKey, first+far))
		}
		slices.Sort(devices[i].NVLink)
	}
	return devices
}

// parse reads MODEL, MODEL:COUNT, MODEL:PROFILE and MODEL:PROFILE:COUNT.
func parse(item string) (gpu.Model, slice, int, error) {
	slug, rest, more := strings.Cut(item, ":")
	model, err := modelOf(slug, item)
	if err != nil || !more {
		return model, slice{}, 1, err
	}
	var profile slice
	if name, times, counted := strings.Cut(rest, ":"); strings.Contains(name, "g.") {
		if profile, err = sliceOf(model, name); err != nil || !counted {
			return model, profile, 1, err
		}
		rest = times
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 1 || n > MaxDevices {
		return model, profile, 0, fmt.Errorf("%q: want a count from 1 to %d after the colon, or a MIG profile such as 1g.10gb", item, MaxDevices)
	}
	return model, profile, n, nil
}

func modelOf(slug, item string) (gpu.Model, error) {
	if model, ok := gpu.Lookup(slug); ok {
		return model, nil
	}
	switch near := gpu.Nearest(slug); {
	case slug == "":
		return gpu.Model{}, fmt.Errorf("%q names no model: want MODEL or MODEL:COUNT, such as rtx-4090:2", item)
	case slices.Contains(Machines(), slug):
		return gpu.Model{}, fmt.Errorf("%q: %s is a whole machine, and has no count", item, slug)
	case near != "":
		return gpu.Model{}, fmt.Errorf("unknown model %q: did you mean %s?", slug, near)
	}
	return gpu.Model{}, fmt.Errorf("unknown model %q: known are %s; and whole machines: %s",
		slug, strings.Join(slugs(), ", "), strings.Join(Machines(), ", "))
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
