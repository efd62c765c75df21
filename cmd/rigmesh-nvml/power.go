//go:build linux && cgo

package main

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	nvmlv1 "github.com/rigmesh/rigmesh/proto/nvml/v1"
)

// limitPower sets the power limit of a card; 0 milliwatts: back to the default.
func (l *library) limitPower(uuid string, milliwatts uint32) error {
	u, err := l.find(uuid)
	if err != nil {
		return err
	}
	if u.parent != "" {
		return &failure{nvmlv1.Error_CODE_UNSUPPORTED, "a slice has no power limit of its own; its card has"}
	}
	if !l.has("nvmlDeviceSetPowerManagementLimit") || !l.has("nvmlDeviceGetPowerManagementLimitConstraints") {
		return &failure{nvmlv1.Error_CODE_UNSUPPORTED, "the driver cannot set power limits"}
	}
	least, most, ret := u.GetPowerManagementLimitConstraints()
	if ret != nvml.SUCCESS {
		return explain("read the range of the power limit", ret)
	}
	if milliwatts == 0 {
		if milliwatts, ret = u.GetPowerManagementDefaultLimit(); ret != nvml.SUCCESS {
			return explain("read the default power limit", ret)
		}
	}
	if milliwatts < least || milliwatts > most {
		return &failure{nvmlv1.Error_CODE_RANGE, fmt.Sprintf("power limit %d W: this card takes %d to %d W", milliwatts/1000, least/1000, most/1000)}
	}
	if ret := u.SetPowerManagementLimit(milliwatts); ret != nvml.SUCCESS {
		return explain("set the power limit", ret)
	}
	return nil
}
