package gpu

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// MaxDevices is the most devices one machine may have.
const MaxDevices = 64

// SimulatedDevices makes the devices of a list such as "rtx-4090:2,rtx-3060":
// models of the catalog, each with a count (1 when none is given). The UUIDs are
// derived from the worker's public key and the position, so that they are the same
// after a restart and differ from every other worker's.
func SimulatedDevices(list string, workerKey []byte) ([]Device, error) {
	var devices []Device
	for item := range strings.SplitSeq(list, ",") {
		model, count, err := parseSimulated(strings.TrimSpace(item))
		if err != nil {
			return nil, fmt.Errorf("simulated devices %q: %w", list, err)
		}
		if len(devices)+count > MaxDevices {
			return nil, fmt.Errorf("simulated devices %q: at most %d devices", list, MaxDevices)
		}
		for range count {
			devices = append(devices, Device{
				UUID:      simulatedUUID(workerKey, len(devices)),
				Model:     model.Slug,
				VRAM:      model.VRAM,
				Simulated: true,
			})
		}
	}
	return devices, nil
}

func parseSimulated(item string) (Model, int, error) {
	slug, times, counted := strings.Cut(item, ":")
	count := 1
	if counted {
		n, err := strconv.Atoi(times)
		if err != nil || n < 1 || n > MaxDevices {
			return Model{}, 0, fmt.Errorf("%q: want a count from 1 to %d after the colon", item, MaxDevices)
		}
		count = n
	}
	model, ok := Lookup(slug)
	if ok {
		return model, count, nil
	}
	switch near := Nearest(slug); {
	case slug == "":
		return Model{}, 0, fmt.Errorf("%q names no model: want MODEL or MODEL:COUNT, such as rtx-4090:2", item)
	case near != "":
		return Model{}, 0, fmt.Errorf("unknown model %q: did you mean %s?", slug, near)
	default:
		return Model{}, 0, fmt.Errorf("unknown model %q: known are %s", slug, strings.Join(slugs(), ", "))
	}
}

func simulatedUUID(workerKey []byte, index int) string {
	key := sha256.Sum256(workerKey) // fixed length, whatever was given
	h := sha256.New()
	h.Write([]byte("rigmesh/1/simulated-gpu\x00"))
	h.Write(key[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(index)))
	return "SIM-" + hex.EncodeToString(h.Sum(nil)[:16])
}

func slugs() []string {
	out := make([]string, len(catalog))
	for i, m := range catalog {
		out[i] = m.Slug
	}
	return out
}
