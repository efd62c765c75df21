package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Lack is the one thing that kept devices from matching.
type Lack uint8

// What can be lacking. LackNone means that devices matched.
const (
	LackNone Lack = iota
	LackCount
	LackSimulated
	LackMIG
	LackModel
	LackCapability
	LackDriver
	LackCUDA
	LackVRAM
	LackNVLink
	LackExclusive
)

var lackNames = [...]string{
	"none", "count", "simulated", "mig", "model", "capability", "driver", "cuda", "vram", "nvlink", "exclusive",
}

// String is the lack in one word.
func (l Lack) String() string {
	if int(l) < len(lackNames) {
		return lackNames[l]
	}
	return fmt.Sprintf("lack(%d)", uint8(l))
}

// Mismatch says why devices do not match and what would have. The zero Mismatch is a match.
type Mismatch struct {
	Lack  Lack
	Count int // how many devices meet all of it; LackExclusive: how many there are
	// What as many devices as are needed have at least, of each thing that they lack.
	VRAM       uint64
	Capability Version
	Driver     Version
	CUDA       Version
	Linked     int      // how many devices are linked, of those that have as much as is said here
	Models     []string // LackModel: the models there are, sorted
	Profiles   []string // LackMIG: the profiles there are, sorted; "" stands for whole cards
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
	case LackMIG:
		return "only " + strings.Join(profileNames(m.Profiles), ", ")
	case LackModel:
		return "only " + strings.Join(m.Models, ", ")
	case LackCapability:
		return "compute capability " + known(m.Capability)
	case LackDriver:
		return "driver " + known(m.Driver)
	case LackCUDA:
		return "CUDA " + known(m.CUDA)
	case LackVRAM:
		return "VRAM " + FormatVRAM(m.VRAM)
	case LackNVLink:
		return fmt.Sprintf("at most %d devices linked by NVLink", m.Linked)
	case LackExclusive:
		return fmt.Sprintf("exclusive means all %d devices", m.Count)
	}
	return m.Lack.String()
}

func known(v Version) string { return cmp.Or(string(v), "not known") }

func profileNames(profiles []string) []string {
	names := slices.Clone(profiles)
	for i, p := range names {
		names[i] = cmp.Or(p, "whole cards")
	}
	return names
}

// mismatch names the first rule at which too few devices are left, and all that
// would have to be asked less of for count devices to do.
func mismatch(devices []Device, r Requirement) Mismatch {
	left := slices.Clone(devices)
	m := Mismatch{Count: r.together(fitting(left, r.Fits))}
	if len(left) < r.Count {
		m.Lack = LackCount
		return m
	}
	for _, rule := range rules {
		meet := fitting(left, func(d Device) bool { return rule.fits(r, d) })
		if len(meet) < r.Count {
			m.Lack = cmp.Or(m.Lack, rule.lack)
			if !m.relax(rule.lack, left, &r) {
				return m
			}
			meet = fitting(left, func(d Device) bool { return rule.fits(r, d) })
		}
		left = meet
	}
	if r.Exclusive && len(devices) != r.Count && m.OK() {
		return Mismatch{Lack: LackExclusive, Count: len(devices)}
	}
	if n := r.together(left); n < r.Count {
		m.Lack, m.Linked = cmp.Or(m.Lack, LackNVLink), n
	}
	return m
}

// together is how many devices of those that fit one by one can be lent at once.
func (r Requirement) together(fit []Device) int {
	if r.NVLink {
		return largestIsland(fit)
	}
	return len(fit)
}

func fitting(devices []Device, fits func(Device) bool) []Device {
	return slices.DeleteFunc(slices.Clone(devices), func(d Device) bool { return !fits(d) })
}

// relax says what devices have of what lacks, as much as count of them do, and
// asks no more than that. It is false where asking for less is asking for something else.
func (m *Mismatch) relax(lack Lack, devices []Device, r *Requirement) bool {
	switch lack {
	case LackMIG:
		m.Profiles = distinct(devices, func(d Device) string { return d.MIG.Profile })
	case LackModel:
		m.Models = distinct(devices, func(d Device) string { return d.Model })
	case LackCapability:
		m.Capability = most(devices, r.Count, func(d Device) Version { return d.Capability }, Version.Compare)
		r.Capability = m.Capability
	case LackDriver:
		m.Driver = most(devices, r.Count, func(d Device) Version { return d.Driver }, Version.Compare)
		r.Driver = m.Driver
	case LackCUDA:
		m.CUDA = most(devices, r.Count, func(d Device) Version { return d.CUDA }, Version.Compare)
		r.CUDA = m.CUDA
	case LackVRAM:
		m.VRAM = most(devices, r.Count, func(d Device) uint64 { return d.VRAM }, cmp.Compare)
		r.VRAM = m.VRAM
	}
	return lack >= LackCapability && lack <= LackVRAM
}

// most is the highest value that count devices have.
func most[T any](devices []Device, count int, of func(Device) T, compare func(a, b T) int) T {
	all := make([]T, len(devices))
	for i, d := range devices {
		all[i] = of(d)
	}
	slices.SortFunc(all, func(a, b T) int { return compare(b, a) })
	return all[count-1]
}

func distinct(devices []Device, of func(Device) string) []string {
	var all []string
	for _, d := range devices {
		all = append(all, of(d))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
