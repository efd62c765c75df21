package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job/evidence"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// meter reads devices that take 100 W and are half busy.
type meter struct{ began time.Time }

func (m meter) Samples(uuids []string, since time.Time) []gpu.Sample {
	var out []gpu.Sample
	for _, id := range uuids {
		for _, at := range []time.Time{time.Now().Add(-time.Second), time.Now()} {
			out = append(out, gpu.Sample{
				UUID: id, At: at, Utilisation: 50, MemoryUsed: 1 << 30, Power: 100_000, PowerLimit: 450_000,
				Energy: 9_000_000 + uint64(100*at.Sub(m.began).Milliseconds()), Temperature: 60,
				Processes: []gpu.Process{
					{PID: 11, Name: "train", Kind: gpu.ProcessCompute},
					{PID: 12, Name: "miner", Kind: gpu.ProcessCompute},
					{PID: 13, Name: "Xorg", Kind: gpu.ProcessGraphics},
				},
			})
		}
	}
	return out
}

// numbered is a runtime that knows the host's number of a task's process.
type numbered struct{ runtime.Runtime }

func (numbered) Processes(context.Context, string) ([]uint32, error) { return []uint32{11}, nil }

func TestDevicesAreReadAndOthersProcessesOnThemDisputed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.telemetry = meter{time.Now()}
		b.wrap = func(r runtime.Runtime) runtime.Runtime { return numbered{r} }
		b.start()
		defer b.stop()
		s, id := running(b, nil, "sleep 20s", "exit 0")
		<-s.Done()
		time.Sleep(time.Second)
		r := b.kept.last()
		_, end := lastEvidence(t, r)
		if err := evidence.Check(end, samplesOf(t, b, id, end)); err != nil {
			t.Error(err)
		}
		d := end.GetDevices()
		if d.GetEnergyMj() < 1_800_000 || d.GetEnergyMj() > 2_000_000 || d.GetBusyMs() < 9_000 || d.GetBusyMs() > 10_000 {
			t.Errorf("%v after 20 s at 100 W, half busy", d)
		}
		if d.GetForeign() != 1 || len(d.GetForeignHash()) != 32 || d.GetUtilizationMean() != 50 {
			t.Errorf("%v; one compute process is not the task's", d)
		}
		if ack := lastAck(t, r); ack.Verdict != leasev1.Verdict_VERDICT_DISPUTED || ack.Mismatches[0] != leasev1.Mismatch_MISMATCH_FOREIGN {
			t.Errorf("acked with %v", ack)
		}
	})
}

// twoPrograms is a runtime whose task is one process for ten seconds, and another after it.
type twoPrograms struct {
	runtime.Runtime
	began time.Time
}

func (p twoPrograms) Processes(context.Context, string) ([]uint32, error) {
	if time.Since(p.began) < 10*time.Second {
		return []uint32{11}, nil
	}
	return []uint32{12}, nil
}

// behind reads devices a second before it is asked: what is there is the process of then, and
// before the task the one that cleared the memory for it.
type behind struct {
	meter
	*twoPrograms
}

func (b behind) Samples(uuids []string, since time.Time) []gpu.Sample {
	all := b.meter.Samples(uuids, since)
	for i := range all {
		s := &all[i]
		s.At = s.At.Add(-time.Second)
		s.Processes = []gpu.Process{{PID: 12, Name: "eval", Kind: gpu.ProcessCompute}}
		switch since := s.At.Sub(b.twoPrograms.began); {
		case since < 0:
			s.Processes[0] = gpu.Process{PID: 10, Name: "rigmesh-nvml", Kind: gpu.ProcessCompute}
		case since < 10*time.Second:
			s.Processes[0] = gpu.Process{PID: 11, Name: "train", Kind: gpu.ProcessCompute}
		}
	}
	return all
}

func TestATaskOfTwoProgramsIsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		programs := &twoPrograms{}
		b.telemetry = behind{meter{time.Now()}, programs}
		b.wrap = func(r runtime.Runtime) runtime.Runtime { programs.Runtime = r; return programs }
		b.start()
		defer b.stop()
		programs.began = time.Now()
		s, id := running(b, nil, "sleep 20s", "exit 0")
		<-s.Done()
		time.Sleep(time.Second)
		_, end := lastEvidence(t, b.kept.last())
		all := &leasev1.Evidence{Samples: end.FirstSample + end.Samples}
		for i, raw := range samplesOf(t, b, id, all) {
			sample, err := evidence.Open(raw)
			if err != nil || len(sample.Devices) != 1 || sample.Devices[0].Foreign != 0 {
				t.Errorf("sample %d: %v, %v", i, sample, err)
			}
		}
		if all.Samples < 20 {
			t.Errorf("%d samples of 20 s", all.Samples)
		}
	})
}

// late gives no readings before a moment, as a reader that was only started.
type late struct {
	meter
	from time.Time
}

func (l *late) Samples(uuids []string, since time.Time) []gpu.Sample {
	if time.Now().Before(l.from) {
		return nil
	}
	return l.meter.Samples(uuids, since)
}

func TestTheEnergyOfALeaseOutlivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		readings := &late{meter: meter{time.Now()}}
		b.telemetry = readings
		b.start()
		s, id := running(b, nil, "sleep 130s", "exit 0")
		time.Sleep(60 * time.Second)
		b.stop()
		time.Sleep(30 * time.Second)
		readings.from = time.Now().Add(2500 * time.Millisecond)
		b.start()
		defer b.stop()
		b.connect(s, id)
		time.Sleep(30 * time.Second)
		var got uint64
		for _, v := range b.Leases() {
			got = v.EnergyMJ
		}
		<-s.Done()
		time.Sleep(time.Second)
		if got < 11_700_000 || got > 12_000_000 {
			t.Errorf("%d mJ after 120 s at 100 W, a quarter of them while nobody watched", got)
		}
	})
}
