package gputest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

// Faulty is devices whose readings a test makes: healthy, until told otherwise.
// It tells of faults as the reader of real devices does: a device that hangs, is
// lost or reports an Xid is a change within a period; a reader that is gone is one of
// every device.
type Faulty struct {
	devices []gpu.Device
	now     func() time.Time

	mu      sync.Mutex
	watcher gpu.Watcher
	faults  map[string]gpu.Fault
	silent  map[string]bool
	degrees map[string]int16
	others  map[string][]gpu.Process
	limits  map[string]uint32
	held    map[string]uint32
	energy  uint64
}

// NewFaulty makes a source for devices, which it takes as they are.
func NewFaulty(devices []gpu.Device, now func() time.Time) *Faulty {
	return &Faulty{
		devices: devices, now: now, faults: map[string]gpu.Fault{}, silent: map[string]bool{},
		degrees: map[string]int16{}, others: map[string][]gpu.Process{}, limits: map[string]uint32{},
		held: map[string]uint32{},
	}
}

// Watch tells w of samples once a second, and of faults as they are made.
func (f *Faulty) Watch(ctx context.Context, _ []gpu.Device, w gpu.Watcher) error {
	f.mu.Lock()
	f.watcher = w
	f.mu.Unlock()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		w.Samples(f.read())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *Faulty) read() []gpu.Sample {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.energy += 100_000
	var out []gpu.Sample
	for _, d := range f.devices {
		if f.faults[d.UUID] != gpu.FaultNone && f.faults[d.UUID] != gpu.FaultXid || f.silent[d.UUID] {
			continue
		}
		degrees := int16(50)
		if t := f.degrees[d.UUID]; t != 0 {
			degrees = t
		}
		out = append(out, gpu.Sample{
			UUID: d.UUID, At: f.now(), Power: 100_000, PowerLimit: f.enforced(d), PowerSetting: f.limit(d), Energy: f.energy, Temperature: degrees,
			Processes: f.others[d.UUID],
		})
	}
	return out
}

func (f *Faulty) limit(d gpu.Device) uint32 {
	if mw, ok := f.limits[d.UUID]; ok {
		return mw
	}
	return d.Power.Now
}

func (f *Faulty) enforced(d gpu.Device) uint32 {
	if mw, ok := f.held[d.UUID]; ok {
		return min(mw, f.limit(d))
	}
	return f.limit(d)
}

// Enforce has something else than its power limit hold a device to fewer milliwatts.
func (f *Faulty) Enforce(uuid string, milliwatts uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[uuid] = milliwatts
}

// Limit is the power limit a device has now, in milliwatts.
func (f *Faulty) Limit(uuid string) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.devices {
		if d.UUID == uuid {
			return f.limit(d)
		}
	}
	return 0
}

// SetPowerLimit sets it.
func (f *Faulty) SetPowerLimit(_ context.Context, uuid string, milliwatts uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault := f.faults[uuid]; fault != gpu.FaultNone {
		return fmt.Errorf("limit power of %s: %s", uuid, fault)
	}
	f.limits[uuid] = milliwatts
	return nil
}

// Fail makes a device fail, or work again, and tells the watcher so.
func (f *Faulty) Fail(uuid string, fault gpu.Fault) {
	f.mu.Lock()
	f.faults[uuid] = fault
	w := f.watcher
	f.mu.Unlock()
	if w == nil {
		return
	}
	change := gpu.Change{UUID: uuid, Fault: fault, Text: "made to fail: " + fault.String()}
	if fault == gpu.FaultHang {
		time.AfterFunc(hangSeen, func() { w.Changed(change) })
		return
	}
	w.Changed(change)
}

// hangSeen is how long the reader of real devices waits before it says that one
// does not answer.
const hangSeen = 900 * time.Millisecond

// Silence makes a device give no readings, and nobody says so.
func (f *Faulty) Silence(uuid string, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent[uuid] = on
}

// Heat sets what a device reads, in °C; 0: as usual.
func (f *Faulty) Heat(uuid string, degrees int16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.degrees[uuid] = degrees
}

// Use puts processes on a device.
func (f *Faulty) Use(uuid string, processes ...gpu.Process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.others[uuid] = processes
}
