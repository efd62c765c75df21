//go:build linux && cgo && faults

package main

import (
	"fmt"
	"os"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxb200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh200"
	mockserver "github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
)

// The tests' environment. A release has none of this file in it.
const (
	machineVariable = "RIGMESH_TEST_MACHINE" // one of machines, "no-driver" or "old-driver"
	faultsVariable  = "RIGMESH_TEST_FAULTS"  // path of a file of faults, which may change at any time
	cudaVariable    = "RIGMESH_TEST_CUDA"    // path of a stand-in for the CUDA driver library
)

var machines = map[string]func() *mockserver.Server{
	"dgxa100": dgxa100.New,
	"dgxh100": dgxh100.New,
	"dgxh200": dgxh200.New,
	"dgxb200": dgxb200.New,
}

// openLibrary is a mock of NVML with the faults of a file.
func openLibrary() *library {
	name := os.Getenv(machineVariable)
	make, ok := machines[name]
	if !ok {
		make = machines["dgxa100"]
	}
	m := &machine{Server: make(), kind: name, faults: faults(os.Getenv(faultsVariable))}
	for i, d := range m.Devices {
		d := d.(*mockserver.Device)
		// The mocks' UUIDs differ from start to start, and real ones do not.
		d.UUID = fmt.Sprintf("GPU-%08x-0000-4000-8000-%012x", i, i)
		m.cards = append(m.cards, &card{Device: d, machine: m})
	}
	return &library{Interface: m}
}

func cudaLibrary() string { return os.Getenv(cudaVariable) }

// machine is a mocked server whose cards may be faulty.
type machine struct {
	*mockserver.Server
	kind   string
	faults faults
	cards  []*card
}

func (m *machine) Init() nvml.Return {
	if m.kind == "no-driver" {
		return nvml.ERROR_LIBRARY_NOT_FOUND
	}
	return nvml.SUCCESS
}

func (m *machine) LookupSymbol(symbol string) error {
	if m.kind == "old-driver" && symbol == "nvmlDeviceGetPciInfo_v3" || m.faults.has("without", symbol) {
		return fmt.Errorf("no symbol %s", symbol)
	}
	return nil
}

func (m *machine) Extensions() nvml.ExtendedInterface { return m }

func (m *machine) DeviceGetHandleByIndex(index int) (nvml.Device, nvml.Return) {
	if index < 0 || index >= len(m.cards) {
		return nil, nvml.ERROR_INVALID_ARGUMENT
	}
	return m.cards[index], nvml.SUCCESS
}

func (m *machine) DeviceGetHandleByUUID(uuid string) (nvml.Device, nvml.Return) {
	for _, c := range m.cards {
		if c.UUID == uuid {
			return c, nvml.SUCCESS
		}
		for _, s := range c.slices() {
			if s.uuid == uuid {
				return s, nvml.SUCCESS
			}
		}
	}
	return nil, nvml.ERROR_NOT_FOUND
}

func (m *machine) EventSetCreate() (nvml.EventSet, nvml.Return) {
	return &events{machine: m}, nvml.SUCCESS
}
