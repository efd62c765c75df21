package gputest

import (
	"fmt"

	"github.com/rigmesh/rigmesh/gpu"
)

// TwoBoards is a server with eight H100 in two islands of NVLink of four each,
// and two cards on each switch.
func TwoBoards() []gpu.Device {
	devices := EightH100()
	for i := range devices {
		devices[i].PCI.Switch = fmt.Sprintf("0000:%02x:00.0", i/2)
		for far := i / 4 * 4; far < i/4*4+4; far++ {
			if far != i {
				devices[i].NVLink = append(devices[i].NVLink, devices[far].UUID)
			}
		}
	}
	return devices
}

// Sliced is a server with two H100, the first of them cut into seven slices.
func Sliced() []gpu.Device {
	cards := Machine("h100-sxm", "h100-sxm")
	cards[0].MIG.Enabled = true
	for i := range 7 {
		cards = append(cards, gpu.Device{
			UUID: fmt.Sprintf("MIG-%08x-0000-4000-8000-000000000000", i), Model: "h100-sxm", VRAM: 9984 * gpu.MiB,
			MIG: gpu.MIG{Parent: cards[0].UUID, Profile: "1g.10gb"},
		})
	}
	return cards
}
