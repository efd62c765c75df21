package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/rigmesh/rigmesh/gpu"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

func printStats(w io.Writer, all []jobStats) error {
	t := newTable(w, "JOB", "NAME", "STATE", "CPU", "MEMORY", "DISK", "PIDS", "READ", "WRITTEN", "GPU", "VRAM", "POWER", "TEMP")
	for _, s := range all {
		if s.err != nil {
			t.row(short(s.id), s.name, "no answer", "", "", "", "", "", "", "", "", "", "")
			continue
		}
		n := s.now
		row := []string{short(s.id), s.name, phaseName(n.Phase)}
		if n.MemoryLimitBytes == 0 && n.Pids == 0 { // there is no task
			row = append(row, "", "", "", "", "", "")
		} else {
			row = append(row, cores(n.CpuMillis, n.CpuLimitMillis), of(n.MemoryBytes, n.MemoryLimitBytes), of(n.DiskBytes, n.DiskLimitBytes),
				fmt.Sprintf("%d/%d", n.Pids, n.PidsLimit), size(n.ReadBytes), size(n.WrittenBytes))
		}
		t.row(append(row, deviceColumns(n.Devices)...)...)
	}
	return t.flush()
}

// phaseName is a task's phase in one word.
func phaseName(p leasev1.Phase) string {
	return strings.ToLower(strings.TrimPrefix(p.String(), "PHASE_"))
}

// cores writes a share of processors, in thousandths of a core.
func cores(used, limit uint64) string {
	text := fmt.Sprintf("%.2f", float64(used)/1000)
	if limit > 0 {
		text += fmt.Sprintf("/%g", float64(limit)/1000)
	}
	return text
}

func of(used, limit uint64) string {
	if limit == 0 {
		return size(used)
	}
	return size(used) + "/" + size(limit)
}

// deviceColumns are utilisation, memory, power and temperature of a lease's devices, those
// that are read: one after the other where each counts, together or the highest else.
func deviceColumns(devices []*leasev1.DeviceStats) []string {
	var busy []string
	var used, vram, power uint64
	var hottest int32
	has := gpu.ReadUtilisation | gpu.ReadMemory | gpu.ReadPower | gpu.ReadTemperature
	for _, d := range devices {
		if d.ReadMs == 0 {
			return []string{"", "", "", ""}
		}
		has &^= gpu.Reading(d.Lacks)
		busy = append(busy, fmt.Sprintf("%d%%", d.Utilization))
		used, vram, power, hottest = used+d.MemoryBytes, vram+d.VramBytes, power+d.PowerMw, max(hottest, d.Temperature)
	}
	columns := make([]string, 4)
	for i, c := range []struct {
		reading gpu.Reading
		text    string
	}{
		{gpu.ReadUtilisation, strings.Join(busy, " ")}, {gpu.ReadMemory, of(used, vram)},
		{gpu.ReadPower, fmt.Sprintf("%d W", (power+500)/1000)}, {gpu.ReadTemperature, fmt.Sprintf("%d°C", hottest)},
	} {
		if len(devices) > 0 && has&c.reading != 0 {
			columns[i] = c.text
		}
	}
	return columns
}

// statsView is what a task uses as --json prints it.
type statsView struct {
	Job            string            `json:"job"`
	State          string            `json:"state,omitempty"`
	Error          string            `json:"error,omitempty"`
	CPUMillis      uint64            `json:"cpu_millis"`
	CPULimitMillis uint64            `json:"cpu_limit_millis"`
	CPUMS          uint64            `json:"cpu_ms"`
	Memory         uint64            `json:"memory_bytes"`
	MemoryLimit    uint64            `json:"memory_limit_bytes"`
	Pids           uint64            `json:"pids"`
	PidsLimit      uint64            `json:"pids_limit"`
	Disk           uint64            `json:"disk_bytes"`
	DiskLimit      uint64            `json:"disk_limit_bytes"`
	Files          uint64            `json:"files"`
	FilesLimit     uint64            `json:"files_limit"`
	Read           uint64            `json:"read_bytes"`
	Written        uint64            `json:"written_bytes"`
	Devices        []deviceStatsView `json:"devices"`
}

// deviceStatsView is one device; a reading that it does not give is null.
type deviceStatsView struct {
	Model       string  `json:"model"`
	Simulated   bool    `json:"simulated"`
	Utilization *uint32 `json:"utilization"`
	Memory      *uint64 `json:"memory_bytes"`
	VRAM        uint64  `json:"vram_bytes"`
	PowerMW     *uint64 `json:"power_mw"`
	Temperature *int32  `json:"temperature"`
}

func statsViews(all []jobStats) []statsView {
	views := []statsView{}
	for _, s := range all {
		if s.err != nil {
			views = append(views, statsView{Job: s.id, Error: s.err.Error()})
			continue
		}
		n := s.now
		v := statsView{
			Job: s.id, State: phaseName(n.Phase), CPUMillis: n.CpuMillis, CPULimitMillis: n.CpuLimitMillis, CPUMS: n.CpuMs,
			Memory: n.MemoryBytes, MemoryLimit: n.MemoryLimitBytes, Pids: n.Pids, PidsLimit: n.PidsLimit,
			Disk: n.DiskBytes, DiskLimit: n.DiskLimitBytes, Files: n.Files, FilesLimit: n.FilesLimit,
			Read: n.ReadBytes, Written: n.WrittenBytes, Devices: []deviceStatsView{},
		}
		for _, d := range n.Devices {
			v.Devices = append(v.Devices, deviceStatsOf(d))
		}
		views = append(views, v)
	}
	return views
}

func deviceStatsOf(d *leasev1.DeviceStats) deviceStatsView {
	v := deviceStatsView{Model: d.Model, Simulated: d.Simulated, VRAM: d.VramBytes}
	given := func(r gpu.Reading) bool { return d.ReadMs != 0 && gpu.Reading(d.Lacks)&r == 0 }
	if given(gpu.ReadUtilisation) {
		v.Utilization = &d.Utilization
	}
	if given(gpu.ReadMemory) {
		v.Memory = &d.MemoryBytes
	}
	if given(gpu.ReadPower) {
		v.PowerMW = &d.PowerMw
	}
	if given(gpu.ReadTemperature) {
		v.Temperature = &d.Temperature
	}
	return v
}
