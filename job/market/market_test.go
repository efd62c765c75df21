package market

import (
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/gputest"
	"github.com/rigmesh/rigmesh/gpu/simulated"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

var now = time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)

// worker is a machine with the given devices, all free.
func worker(devices []gpu.Device) Worker {
	return Worker{
		Network:     "main",
		Floor:       200_000,
		Machine:     &marketv1.Machine{Cpus: 16, MemoryBytes: 64 * gpu.GiB, DiskBytes: 500 * gpu.GiB, Platform: "linux/amd64"},
		Devices:     devices,
		Lent:        devices,
		Free:        devices,
		MaxDuration: 24 * time.Hour,
	}
}

// wanted asks for one GPU of 8 GiB for an hour at 0.30.
func wanted() *marketv1.Announcement {
	return &marketv1.Announcement{
		Network:       "main",
		IssuedMs:      now.UnixMilli(),
		ExpiresMs:     now.Add(time.Minute).UnixMilli(),
		Gpu:           &marketv1.Requirement{Count: 1, VramBytes: 8 * gpu.GiB},
		Resources:     &marketv1.Resources{CpuMillis: 4000, MemoryBytes: 8 * gpu.GiB, DiskBytes: 20 * gpu.GiB},
		Platform:      "linux/amd64",
		MaxPrice:      300_000,
		MaxDurationMs: time.Hour.Milliseconds(),
	}
}

func madeUp(list string) []gpu.Device {
	made, err := simulated.Make(list, []byte("key"))
	if err != nil {
		panic(err)
	}
	return made.Devices
}

func priced(devices []gpu.Device, prices ...uint64) []gpu.Device {
	for i, p := range prices {
		devices[i].Price = p
	}
	return devices
}

var rig = gputest.MiningRig
