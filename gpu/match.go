package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Requirement is what a job needs of the devices it gets.
type Requirement struct {
	Count          int      // devices; at least 1
	Models         []string // any of these slugs; empty: any
	VRAM           uint64   // bytes per device, by Holds
	AllowSimulated bool
}

// Fits says whether one device will do.
func (r Requirement) Fits(d Device) bool {
	return r.fitsKind(d) && r.fitsModel(d) && Holds(d.VRAM, r.VRAM)
}

func (r Requirement) fitsKind(d Device) bool { return r.AllowSimulated || !d.Simulated }
func (r Requirement) fitsModel(d Device) bool {
	return len(r.Models) == 0 || slices.Contains(r.Models, d.Model)
}

// Lack is the one thing that kept devices from matching.
type Lack uint8

// What can be lacking. LackNone means that devices matched.
const (
	LackNone Lack = iota
	LackCount
	LackSimulated
	LackModel
	LackVRAM
)

var lackNames = [...]string{"none", "count", "simulated", "model", "vram"}

// String is the lack in one word.
func (l Lack) String() string {
	if int(l) < len(lackNames) {
		return lackNames[l]
	}
	return fmt.Sprintf("lack(%d)", uint8(l))
}

// Mismatch says why devices do not match and what would have. The zero Mismatch is a match.
type Mismatch struct {
	Lack   Lack
	Count  int      // how many devices meet everything else
	VRAM   uint64   // LackVRAM: the most bytes per device that Count devices have
	Models []string // LackModel: the models there are, sorted
}

// OK says that devices matched.
func (m Mismatch) OK() bool { return m.Lack == LackNone }

// String is one sentence for people.
func (m Mismatch) String() string {
	switch m.Lack {
	case LackNone:
		return "devices match"
	case LackCount:
		return fmt.Sprintf("only %d matching devices", m.Count)
	case LackSimulated:
		return "only simulated devices"
	case LackModel:
		return "only " + strings.Join(m.Models, ", ")
	case LackVRAM:
		return "VRAM " + FormatVRAM(m.VRAM)
	}
	return m.Lack.String()
}

// Match picks the devices to lend: real ones before simulated ones; for several
// devices, of one model if that is possible, because a job across unlike cards
// runs at the speed of the slowest; then the least memory that will do, so that
// the biggest stay free; then the cheapest. The choice depends on nothing else,
// the order of devices included.
func Match(devices []Device, r Requirement) ([]Device, Mismatch) {
	if r.Count < 1 {
		return nil, Mismatch{Lack: LackCount}
	}
	var fit []Device
	for _, d := range devices {
		if r.Fits(d) {
			fit = append(fit, d)
		}
	}
	if len(fit) < r.Count {
		return nil, mismatch(devices, r, len(fit))
	}
	slices.SortFunc(fit, byWaste)
	if alike := oneModel(fit, r.Count); alike != nil {
		return alike, Mismatch{}
	}
	return slices.Clip(fit[:r.Count]), Mismatch{}
}

func byWaste(a, b Device) int {
	return cmp.Or(
		compareBool(a.Simulated, b.Simulated),
		cmp.Compare(a.VRAM, b.VRAM),
		cmp.Compare(a.Price, b.Price),
		cmp.Compare(a.Model, b.Model),
		cmp.Compare(a.UUID, b.UUID),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// oneModel finds the first count devices of one model in a list sorted by
// waste: the set whose largest device is smallest. It is nil when no model has that many.
func oneModel(sorted []Device, count int) []Device {
	type kind struct {
		model     string
		simulated bool
	}
	seen := make(map[kind][]Device)
	for _, d := range sorted {
		k := kind{d.Model, d.Simulated}
		seen[k] = append(seen[k], d)
		if len(seen[k]) == count {
			return seen[k]
		}
	}
	return nil
}

// mismatch names the first requirement, from what cannot be changed to what
// can, at which too few devices are left.
func mismatch(devices []Device, r Requirement, fit int) Mismatch {
	m := Mismatch{Lack: LackVRAM, Count: fit}
	if len(devices) < r.Count {
		m.Lack = LackCount
		return m
	}
	left := slices.DeleteFunc(slices.Clone(devices), func(d Device) bool { return !r.fitsKind(d) })
	if len(left) < r.Count {
		m.Lack = LackSimulated
		return m
	}
	for _, d := range left {
		if !slices.Contains(m.Models, d.Model) {
			m.Models = append(m.Models, d.Model)
		}
	}
	left = slices.DeleteFunc(left, func(d Device) bool { return !r.fitsModel(d) })
	if len(left) < r.Count {
		m.Lack = LackModel
		slices.Sort(m.Models)
		return m
	}
	slices.SortFunc(left, func(a, b Device) int { return cmp.Compare(b.VRAM, a.VRAM) })
	m.VRAM, m.Models = left[r.Count-1].VRAM, nil
	return m
}
