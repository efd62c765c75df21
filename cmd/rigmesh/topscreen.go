package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// topScreen is what top shows on a terminal at a moment.
type topScreen struct {
	now   *controlv1.ListDevicesResponse
	at    time.Time
	width int
	color bool
	said  string
}

// The colours of top, as SGR codes.
const (
	bold, faint, red, green, yellow, cyan = "1", "2", "31", "32", "33", "36"
)

func (s topScreen) paint(code, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s topScreen) String() string {
	name := job.CleanText(s.now.Name)
	if name != "" {
		name = " " + name
	}
	left := s.paint(bold, "rigmesh"+name) + "  " + totals(s.now)
	clock := s.at.Format("15:04:05")
	lines := []string{left + strings.Repeat(" ", max(1, s.width-ansi.StringWidth(left)-len(clock))) + s.paint(faint, clock), ""}
	lines = append(lines, s.paint(faint, fmt.Sprintf("%3s  %-22s %-20s %15s %12s %5s %7s  %-9s %s",
		"GPU", "MODEL", "UTILISATION", "MEMORY", "POWER", "TEMP", "PRICE", "STATE", "JOB")))
	var notes []string
	for _, d := range s.now.Devices {
		lines = append(lines, s.device(d))
		if d.Text != "" {
			notes = append(notes, fmt.Sprintf("GPU %d: %s", d.Number, job.CleanText(d.Text)))
		}
	}
	if len(notes) > 0 {
		lines = append(lines, "")
		for _, n := range notes {
			lines = append(lines, s.paint(yellow, n))
		}
	}
	lines = append(lines, "")
	if s.said != "" {
		lines = append(lines, job.CleanText(s.said))
	}
	lines = append(lines, s.paint(faint, "q quit   p pause   d drain   r resume"))
	for i, l := range lines {
		lines[i] = ansi.Truncate(l, max(20, s.width), "…")
	}
	return strings.Join(lines, "\n") + "\n"
}

// device is one line of the screen.
func (s topScreen) device(d *controlv1.OwnedDevice) string {
	text, pad := "", 0
	if l := d.Lease; l != nil {
		pad = 9
		text = fmt.Sprintf(" %s  %s  %s  %s", orElse(job.CleanText(l.Name), short(l.Id)), spanMS(l.CreditMs), credits(l.Amount), drawn(d))
	}
	heat := ""
	switch {
	case d.Temperature >= 85:
		heat = red
	case d.Temperature >= 75:
		heat = yellow
	}
	return fmt.Sprintf("%3d  %-22s %s %s %15s %12s %s %7s  %s%s",
		d.Number, ansi.Truncate(modelName(d), 22, "…"), s.bar(d), s.paint(cyan, fmt.Sprintf("%4s", reading(d, percent))),
		reading(d, memory), reading(d, watts), s.paint(heat, fmt.Sprintf("%5s", reading(d, degrees))),
		credits(d.Price), s.paint(s.tone(d), fmt.Sprintf("%-*s", pad, standing(d))), text)
}

// bar is the utilisation in fifteen cells.
func (s topScreen) bar(d *controlv1.OwnedDevice) string {
	const cells = 15
	full := min(cells, (int(d.Utilisation)*cells+50)/100)
	return s.paint(cyan, strings.Repeat("█", full)) + s.paint(faint, strings.Repeat("░", cells-full))
}

func (s topScreen) tone(d *controlv1.OwnedDevice) string {
	switch {
	case d.Action == "hand back":
		return red
	case d.Action != "lend":
		return yellow
	case d.Lease != nil:
		return green
	}
	return ""
}

// standing is how a device stands, in one word.
func standing(d *controlv1.OwnedDevice) string {
	switch {
	case d.Action == "lend" && d.Lease != nil:
		return "leased"
	case d.Action == "lend":
		return "free"
	case d.Lease != nil && d.Action == "withhold":
		return "leased" // and not lent anew: the note says why
	case d.Lease != nil && d.Action == "yield":
		return "yielding"
	case d.Action == "pause":
		return "cooling"
	}
	return orElse(d.Code, d.Action)
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func modelName(d *controlv1.OwnedDevice) string {
	name := modelAndSlice(d.Model, d.Mig)
	if d.Simulated {
		name += " (sim)"
	}
	return name
}

// reading is one of a device's readings, or "-" when there is none.
func reading(d *controlv1.OwnedDevice, of func(*controlv1.OwnedDevice) (string, gpu.Reading)) string {
	text, needs := of(d)
	if d.ReadMs == 0 || gpu.Reading(d.Lacks)&needs != 0 {
		return "-"
	}
	return text
}

func percent(d *controlv1.OwnedDevice) (string, gpu.Reading) {
	return fmt.Sprintf("%d%%", d.Utilisation), gpu.ReadUtilisation
}

func memory(d *controlv1.OwnedDevice) (string, gpu.Reading) {
	return fmt.Sprintf("%.1f/%s", float64(d.MemoryUsed)/float64(gpu.GiB), gpu.FormatVRAM(d.VramBytes)), gpu.ReadMemory
}

func watts(d *controlv1.OwnedDevice) (string, gpu.Reading) {
	return fmt.Sprintf("%d/%d W", (d.PowerMw+500)/1000, d.PowerLimitMw/1000), gpu.ReadPower
}

func degrees(d *controlv1.OwnedDevice) (string, gpu.Reading) {
	return fmt.Sprintf("%d°C", d.Temperature), gpu.ReadTemperature
}

// drawn is what the lease on a device drew; "-" when the device does not say, as MIG slices do not.
func drawn(d *controlv1.OwnedDevice) string {
	return reading(d, func(d *controlv1.OwnedDevice) (string, gpu.Reading) { return kWh(d.Lease.EnergyMj), gpu.ReadEnergy })
}

// kWh writes an energy for people.
func kWh(mj uint64) string {
	return fmt.Sprintf("%.3f kWh", float64(mj)/3.6e9)
}

// totals is the whole machine in one line.
func totals(now *controlv1.ListDevicesResponse) string {
	var perHour, power uint64
	leases, running := map[string]bool{}, uint64(0)
	for _, d := range now.Devices {
		power += uint64(d.PowerMw)
		if l := d.Lease; l != nil {
			perHour += l.Price
			if !leases[l.Id] {
				running += l.Amount
			}
			leases[l.Id] = true
		}
	}
	return fmt.Sprintf("%s, %s, %d W, earning %s an hour, earned %s, %s",
		several(uint32(len(now.Devices)), "GPU"), several(uint32(len(leases)), "lease"), (power+500)/1000,
		credits(perHour), credits(now.Earned+running), several(now.ConnectedPeers, "peer"))
}

// topJSON is top as --json prints it; prices and amounts are in micro-credits.
type topJSON struct {
	Name    string      `json:"name,omitempty"`
	Peers   uint32      `json:"connected_peers"`
	Earned  uint64      `json:"earned_micro"`
	Devices []ownedJSON `json:"devices"`
}

type ownedJSON struct {
	Number      uint32     `json:"number"`
	UUID        string     `json:"uuid"`
	Model       string     `json:"model"`
	MIG         string     `json:"mig,omitempty"`
	Simulated   bool       `json:"simulated"`
	VRAM        uint64     `json:"vram_bytes"`
	Price       uint64     `json:"price_micro"`
	Action      string     `json:"action"`
	Code        string     `json:"code,omitempty"`
	Text        string     `json:"text,omitempty"`
	Until       string     `json:"until,omitempty"`
	Read        string     `json:"read,omitempty"`
	Utilisation uint32     `json:"utilisation"`
	MemoryUsed  uint64     `json:"memory_used_bytes"`
	Power       uint32     `json:"power_mw"`
	PowerLimit  uint32     `json:"power_limit_mw"`
	Temperature int32      `json:"temperature"`
	Clock       uint32     `json:"clock_mhz"`
	Throttle    string     `json:"throttle,omitempty"`
	Energy      uint64     `json:"energy_mj"`
	Foreign     []string   `json:"foreign,omitempty"`
	Lease       *leaseJSON `json:"lease,omitempty"`
}

type leaseJSON struct {
	ID       string `json:"lease"`
	Peer     string `json:"peer"`
	Name     string `json:"name,omitempty"`
	State    string `json:"state"`
	Price    uint64 `json:"price_micro"`
	Devices  uint32 `json:"devices"`
	CreditMS uint64 `json:"credit_ms"`
	Amount   uint64 `json:"amount_micro"`
	Energy   uint64 `json:"energy_mj"`
}

func viewTop(now *controlv1.ListDevicesResponse) topJSON {
	v := topJSON{Name: now.Name, Peers: now.ConnectedPeers, Earned: now.Earned, Devices: []ownedJSON{}}
	for _, d := range now.Devices {
		o := ownedJSON{
			Number: d.Number, UUID: d.Uuid, Model: d.Model, MIG: d.Mig, Simulated: d.Simulated, VRAM: d.VramBytes, Price: d.Price,
			Action: d.Action, Code: d.Code, Text: d.Text, Until: rfc3339(d.UntilMs), Read: rfc3339(d.ReadMs),
			Utilisation: d.Utilisation, MemoryUsed: d.MemoryUsed, Power: d.PowerMw, PowerLimit: d.PowerLimitMw,
			Temperature: d.Temperature, Clock: d.ClockMhz, Throttle: d.Throttle, Energy: d.EnergyMj, Foreign: d.Foreign,
		}
		if l := d.Lease; l != nil {
			o.Lease = &leaseJSON{l.Id, l.PeerId, l.Name, l.State, l.Price, l.Devices, l.CreditMs, l.Amount, l.EnergyMj}
		}
		v.Devices = append(v.Devices, o)
	}
	return v
}
