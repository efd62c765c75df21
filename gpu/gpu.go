// Package gpu is the vocabulary of devices: what a machine has, what a job
// needs of it, which devices to lend, and who holds which.
//
// It knows no market, no lease and no driver. Reading real devices is the
// work of a package below; canned machines for tests are in gputest.
package gpu

import (
	"fmt"
	"strconv"
	"strings"
)

// Sizes of memory in bytes.
const (
	MiB uint64 = 1 << 20
	GiB uint64 = 1 << 30
)

// Holds says whether a device with vram bytes counts as one with need bytes.
//
// Cards are asked for by the size on the box, and the driver reports less:
// firmware takes a little (an RTX 4090 has 24,564 of 24,576 MiB) and ECC takes a
// sixteenth and some more (an L4 has 23,034). So a device may fall short by up to a fifteenth.
func Holds(vram, need uint64) bool {
	if vram >= need {
		return true
	}
	return need-vram <= need/15
}

// FormatVRAM writes a size of memory for people: "24 GiB", "22.5 GiB", "512 MiB".
func FormatVRAM(bytes uint64) string {
	if bytes < GiB {
		return strconv.FormatUint(bytes/MiB, 10) + " MiB"
	}
	tenths := (bytes/MiB*10 + 512) / 1024
	s := fmt.Sprintf("%d.%d", tenths/10, tenths%10)
	return strings.TrimSuffix(s, ".0") + " GiB"
}
