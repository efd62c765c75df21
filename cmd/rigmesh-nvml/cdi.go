//go:build linux && cgo

package main

import (
	"encoding/json"
	"fmt"

	nvdevice "github.com/NVIDIA/go-nvlib/pkg/nvlib/device"
	"github.com/NVIDIA/nvidia-container-toolkit/pkg/nvcdi"
	"github.com/sirupsen/logrus"
)

// cdiSpec describes every device and slice for containers, each by its UUID. No
// hooks: they are programs that run as root on the host for every container.
func (l *library) cdiSpec(driverRoot string) ([]byte, error) {
	byUUID, err := nvcdi.NewDeviceNamer(nvcdi.DeviceNameStrategyUUID)
	if err != nil {
		return nil, fmt.Errorf("name devices: %w", err)
	}
	quiet := logrus.New()
	quiet.SetLevel(logrus.ErrorLevel)
	generator, err := nvcdi.New(
		nvcdi.WithNvmlLib(l.Interface),
		nvcdi.WithDeviceLib(nvdevice.New(l.Interface)),
		nvcdi.WithMode(nvcdi.ModeNvml),
		nvcdi.WithDriverRoot(driverRoot),
		nvcdi.WithDeviceNamers(byUUID),
		nvcdi.WithDisabledHooks(nvcdi.AllHooks),
		// The sandbox library would be loaded beside NVML. Sockets of host daemons (MPS, persistenced) let tasks talk to the host.
		nvcdi.WithFeatureFlags(nvcdi.FeatureDisableNvsandboxUtils, nvcdi.FeatureDisableIPCDiscoverer, nvcdi.FeatureNoAdditionalGIDsForDeviceNodes),
		nvcdi.WithLogger(quiet),
	)
	if err != nil {
		return nil, fmt.Errorf("look for the driver's files: %w", err)
	}
	spec, err := generator.GetSpec()
	if err != nil {
		return nil, fmt.Errorf("describe devices for containers: %w", err)
	}
	return json.Marshal(spec.Raw())
}
