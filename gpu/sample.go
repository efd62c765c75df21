package gpu

import (
	"slices"
	"strings"
	"time"
)

// Sample is what one device did, read once a second. Where a device does not
// give a reading, its field is zero and Lacks names it: zero watts and "does not say"
// are two things.
type Sample struct {
	UUID string
	At   time.Time // when the driver was asked, by the node's clock
	// Utilisation is the share of the last second, or less, in which something ran: 0–100 %.
	Utilisation    uint8
	MemoryUsed     uint64   // bytes, the driver's own part included
	Power          uint32   // milliwatts
	PowerLimit     uint32   // milliwatts, enforced now
	PowerSetting   uint32   // milliwatts, as it was set: what is enforced may be less; 0: not known
	Energy         uint64   // millijoules since the driver was loaded; falls to 0 when it is loaded anew
	Temperature    int16    // of the chip, °C
	ClockSM        uint32   // MHz
	ClockMemory    uint32   // MHz
	Throttle       Throttle // what holds the clocks down
	Xids           uint32   // Xid errors of this device since it is watched
	LastXid        uint32   // number of the last; 0: none
	ECCCorrected   uint64   // since the driver was loaded
	ECCUncorrected uint64   // since the driver was loaded
	Processes      []Process
	Lacks          Reading
}

// Process is one process that holds the device, as the host sees it.
type Process struct {
	PID    uint32
	Name   string // of its program, without a path; "" when it cannot be read
	Memory uint64 // bytes on the device; 0 when the driver does not say
	Kind   ProcessKind
}

// ProcessKind is what a process uses the device for.
type ProcessKind uint8

// The kinds of processes.
const (
	ProcessCompute  ProcessKind = iota + 1 // CUDA, OpenCL
	ProcessGraphics                        // a desktop or a game
)

// String is the kind in one word.
func (k ProcessKind) String() string {
	switch k {
	case ProcessCompute:
		return "compute"
	case ProcessGraphics:
		return "graphics"
	}
	return "unknown"
}

// Reading is a set of the readings in a Sample.
type Reading uint16

// The readings a device may lack.
const (
	ReadUtilisation Reading = 1 << iota
	ReadMemory
	ReadPower
	ReadPowerLimit
	ReadEnergy
	ReadTemperature
	ReadClocks
	ReadThrottle
	ReadXid
	ReadECC
	ReadProcesses
)

// Has says that the device gave every reading of r.
func (s Sample) Has(r Reading) bool { return s.Lacks&r == 0 }

// Throttle is a set of reasons for which clocks are lower than they could be.
type Throttle uint16

// The reasons.
const (
	ThrottleIdle         Throttle = 1 << iota // nothing runs
	ThrottlePower                             // the power limit
	ThrottleHeat                              // software keeps the temperature down
	ThrottleHardwareHeat                      // the chip saves itself
	ThrottleBrake                             // the power supply asks for less
	ThrottleSettings                          // clocks were set lower
	ThrottleOther                             // another reason, such as a group of cards kept in step
)

var throttleNames = [...]string{"idle", "power", "heat", "hardware-heat", "power-brake", "settings", "other"}

// String lists the reasons: "power,heat"; "" when there is none.
func (t Throttle) String() string {
	var names []string
	for i, name := range throttleNames {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// Compute lists the PIDs of the compute processes, in order.
func (s Sample) Compute() []uint32 {
	var pids []uint32
	for _, p := range s.Processes {
		if p.Kind == ProcessCompute {
			pids = append(pids, p.PID)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}
