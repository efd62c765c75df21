package worker

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Telemetry reads devices.
type Telemetry interface {
	// Samples are the readings of these devices that were taken later than since,
	// the oldest first; none of a device that cannot be read. It does not block.
	Samples(uuids []string, since time.Time) []gpu.Sample
}

// ownProcesses is a runtime that knows which processes of the host are a task's.
// Without it nobody's processes are called foreign.
type ownProcesses interface {
	Processes(ctx context.Context, id string) ([]uint32, error)
}

// freshFor is how old a reading may be to be one of now.
const freshFor = 5 * time.Second

// readDevices adds to a sample what the lease's devices said last.
func (n *tenancy) readDevices(ctx context.Context, s *leasev1.Sample) {
	if n.w.Telemetry == nil {
		return
	}
	devices := n.devices()
	readings, known := n.readings(devices), n.listProcesses(ctx)
	for _, d := range devices {
		rs := readings[d.UUID]
		if len(rs) == 0 {
			continue
		}
		of := deviceSample(n.w.Network, rs[len(rs)-1])
		if known {
			of.Foreign, of.ForeignHash = foreign(n.own.Strangers(rs))
		}
		s.Devices = append(s.Devices, of)
		s.Driver = job.CleanText(string(d.Driver))
	}
}

// awaitReadings waits until every device of the lease was read once, at most for as
// long as a reading is fresh. After a restart what was drawn meanwhile is the difference of two
// samples, and lost if the first has no reading.
func (n *tenancy) awaitReadings(ctx context.Context) {
	if n.w.Telemetry == nil {
		return
	}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for range freshFor / sampleEvery {
		s := &leasev1.Sample{}
		n.readDevices(ctx, s)
		if len(s.Devices) == len(n.devices()) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// energy is what the devices drew so far, in millijoules: also before a restart, and
// while nobody watched. 0 once the lease has ended.
func (n *tenancy) energy() uint64 {
	kept := n.samples.Load()
	if kept == nil {
		return 0
	}
	last, err := evidence.Open(kept.newest())
	if err != nil {
		return 0
	}
	return last.GetEnergyMj()
}

// devices are the lease's, in the order of its terms.
func (n *tenancy) devices() []gpu.Device {
	byTag := map[statement.Hash]gpu.Device{}
	for _, d := range n.w.Config.Devices.All() {
		byTag[statement.GPUTag(n.w.Network, d.UUID)] = d
	}
	var out []gpu.Device
	for _, tag := range n.terms.GpuTags {
		if d, ok := byTag[statement.Hash(tag)]; ok {
			out = append(out, d)
		}
	}
	return out
}

// listProcesses asks which processes of the host are the task's; false when nobody knows.
func (n *tenancy) listProcesses(ctx context.Context) bool {
	r, ok := n.w.Runtime.(ownProcesses)
	if !ok {
		return false
	}
	now := n.w.Now()
	own, err := r.Processes(ctx, taskID(n.id))
	if err != nil {
		return false
	}
	n.own.Listed(now, own)
	return true
}

func deviceSample(network string, r gpu.Sample) *leasev1.DeviceSample {
	tag := statement.GPUTag(network, r.UUID)
	return &leasev1.DeviceSample{
		Tag: tag[:], Utilization: min(uint32(r.Utilisation), 100), MemoryBytes: r.MemoryUsed,
		PowerMw: uint64(r.Power), PowerLimitMw: uint64(r.PowerLimit), EnergyCounterMj: r.Energy,
		Temperature: int32(r.Temperature), ClockMhz: r.ClockSM, ThrottleReasons: uint64(r.Throttle),
		XidCounter: uint64(r.Xids), EccCounter: r.ECCUncorrected, Lacks: uint32(r.Lacks),
	}
}

// foreign counts the strangers that compute. Their names stay here: the hash
// only ties the owner to what it could say about them later.
func foreign(strangers []gpu.Process) (uint32, []byte) {
	sum, count := sha256.New(), uint32(0)
	for _, p := range strangers {
		if p.Kind != gpu.ProcessCompute {
			continue
		}
		count++
		name := sha256.Sum256([]byte(p.Name))
		sum.Write(binary.BigEndian.AppendUint32(name[:], p.PID))
	}
	if count == 0 {
		return 0, nil
	}
	h := statement.H("foreign", sum.Sum(nil))
	return count, h[:]
}
