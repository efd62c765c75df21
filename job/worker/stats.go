package worker

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/gpu"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// Stats tells the requester of a lease what its task uses just now. Of a task that does not
// run it is the phase alone. ErrNoLease.
func (w *Worker) Stats(ctx context.Context, from peer.ID, req *leasev1.StatsRequest) (*leasev1.TaskStats, error) {
	n, err := w.tenancy(req.LeaseId, from)
	if err != nil {
		return nil, err
	}
	s := &leasev1.TaskStats{Phase: n.board.phase()}
	if s.Phase != leasev1.Phase_PHASE_RUNNING && s.Phase != leasev1.Phase_PHASE_FROZEN {
		return s, nil
	}
	u, err := w.Runtime.Usage(ctx, taskID(n.id))
	switch {
	case errors.Is(err, runtime.ErrNotRunning), errors.Is(err, runtime.ErrNotFound):
		return s, nil // it ends just now
	case err != nil:
		return nil, err
	}
	s.CpuMillis, s.CpuLimitMillis, s.CpuMs = n.load.Load(), u.CPUMillis, uint64(u.CPUTime.Milliseconds())
	s.MemoryBytes, s.MemoryLimitBytes, s.Pids, s.PidsLimit = u.MemoryBytes, u.MemoryLimit, u.Pids, u.PidsLimit
	s.DiskBytes, s.DiskLimitBytes, s.Files, s.FilesLimit = u.DiskBytes, u.DiskLimit, u.Files, u.FilesLimit
	s.ReadBytes, s.WrittenBytes = u.Read, u.Written
	s.Devices = n.deviceStats()
	return s, nil
}

// deviceStats are the lease's devices as they were read last.
func (n *tenancy) deviceStats() []*leasev1.DeviceStats {
	devices := n.devices()
	readings := n.readings(devices)
	var out []*leasev1.DeviceStats
	for _, d := range devices {
		s := &leasev1.DeviceStats{Model: d.Model, Simulated: d.Simulated, VramBytes: d.VRAM}
		if rs := readings[d.UUID]; len(rs) > 0 {
			r := rs[len(rs)-1]
			s.ReadMs, s.Lacks = r.At.UnixMilli(), uint32(r.Lacks)
			s.Utilization, s.MemoryBytes, s.PowerMw, s.Temperature = min(uint32(r.Utilisation), 100), r.MemoryUsed, uint64(r.Power), int32(r.Temperature)
		}
		out = append(out, s)
	}
	return out
}

// readings are the last ones of some devices, by UUID, the oldest first; none that are
// of before now.
func (n *tenancy) readings(devices []gpu.Device) map[string][]gpu.Sample {
	if n.w.Telemetry == nil {
		return nil
	}
	of := map[string][]gpu.Sample{}
	var uuids []string
	for _, d := range devices {
		uuids = append(uuids, d.UUID)
	}
	for _, r := range n.w.Telemetry.Samples(uuids, n.w.Now().Add(-freshFor)) {
		of[r.UUID] = append(of[r.UUID], r)
	}
	return of
}

// loaded keeps how much of the processors a task had between two samples.
func (n *tenancy) loaded(before, now *leasev1.Sample) {
	passed := now.AtMs - before.GetAtMs()
	if passed <= 0 || passed > 10*sampleEvery.Milliseconds() || now.CpuMs < before.GetCpuMs() {
		return // the first one, or one after a pause
	}
	n.load.Store((now.CpuMs - before.GetCpuMs()) * uint64(time.Second.Milliseconds()) / uint64(passed))
}
