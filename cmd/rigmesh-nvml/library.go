//go:build linux && cgo

package main

import (
	"fmt"
	"sync"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// library is NVML, with what the loaded driver has of it.
type library struct {
	nvml.Interface

	mu      sync.Mutex
	ready   bool
	symbols map[string]bool
}

// failure is an error with its place in the protocol.
type failure struct {
	code nvmlv1.Error_Code
	text string
}

func (f *failure) Error() string { return f.text }

// open loads and initialises the library. A driver that comes later is found by the next call.
func (l *library) open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready {
		return nil
	}
	ret := l.Init()
	if ret != nvml.SUCCESS {
		return explain("load libnvidia-ml.so.1", ret)
	}
	l.symbols = make(map[string]bool)
	for _, needed := range needed {
		if !l.look(needed) {
			return &failure{nvmlv1.Error_CODE_OLD_DRIVER, fmt.Sprintf("the driver's libnvidia-ml.so.1 has no %s: it is too old", needed)}
		}
	}
	l.ready = true
	return nil
}

// needed are the functions without which there is no inventory. A call of one
// that is missing would end the process.
var needed = []string{
	"nvmlSystemGetDriverVersion", "nvmlSystemGetCudaDriverVersion", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2",
	"nvmlDeviceGetUUID", "nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetCudaComputeCapability",
	"nvmlDeviceGetMinorNumber",
}

// has says whether the driver has a function.
func (l *library) has(symbol string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.look(symbol)
}

func (l *library) look(symbol string) bool {
	known, looked := l.symbols[symbol]
	if !looked {
		known = l.Extensions().LookupSymbol(symbol) == nil
		l.symbols[symbol] = known
	}
	return known
}

// lost says that a return means that the card is gone.
func lost(ret nvml.Return) bool {
	return ret == nvml.ERROR_GPU_IS_LOST || ret == nvml.ERROR_GPU_NOT_FOUND
}

// explain is a return as an error.
func explain(what string, ret nvml.Return) error {
	code := nvmlv1.Error_CODE_FAILED
	switch ret {
	case nvml.ERROR_LIBRARY_NOT_FOUND, nvml.ERROR_DRIVER_NOT_LOADED, nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		code = nvmlv1.Error_CODE_NO_DRIVER
	case nvml.ERROR_FUNCTION_NOT_FOUND:
		code = nvmlv1.Error_CODE_OLD_DRIVER
	case nvml.ERROR_NOT_SUPPORTED:
		code = nvmlv1.Error_CODE_UNSUPPORTED
	case nvml.ERROR_NO_PERMISSION:
		code = nvmlv1.Error_CODE_DENIED
	case nvml.ERROR_INVALID_ARGUMENT:
		code = nvmlv1.Error_CODE_RANGE
	}
	if lost(ret) {
		code = nvmlv1.Error_CODE_LOST
	}
	return &failure{code, fmt.Sprintf("%s: %s", what, describe(ret))}
}

// describe is what a return says. The library's own words take a loaded
// library, and the one that is missing most often is the library.
func describe(ret nvml.Return) string {
	switch ret {
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return "there is no such library on this machine"
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return "the kernel module nvidia is not loaded"
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return "the library and the loaded kernel module are of different versions: reboot after the update"
	case nvml.ERROR_NO_PERMISSION:
		return "that takes root"
	case nvml.ERROR_GPU_IS_LOST:
		return "the card fell off the bus"
	}
	return ret.Error()
}
