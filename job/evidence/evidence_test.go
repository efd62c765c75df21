package evidence_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/statement"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var tag = func() []byte { h := statement.GPUTag("test", "GPU-1"); return h[:] }()

// series are n samples of a task on one device, taken once a second.
func series(n int) [][]byte {
	before := &leasev1.Sample{}
	var out [][]byte
	for i := range n {
		s := &leasev1.Sample{
			AtMs: int64(1_800_000_000_000 + 1000*i), Running: true, CpuMs: uint64(100 * i), MemoryBytes: uint64(1000 + i%3),
			Driver: "575.57",
			Devices: []*leasev1.DeviceSample{{
				Tag: tag, Utilization: uint32(10 * (i % 10)), MemoryBytes: 1 << 30, PowerMw: 100_000, PowerLimitMw: 450_000,
				EnergyCounterMj: uint64(5_000_000 + 100_000*i), Temperature: int32(40 + i),
			}},
		}
		evidence.Accumulate(before, s)
		out, before = append(out, must(evidence.Marshal(s))), s
	}
	return out
}

func TestSummaryIsWhatTheSamplesSay(t *testing.T) {
	got := must(evidence.Summarize(20, series(31)[20:]))
	root, who := got.SamplesRoot, got.Devices.DevicesHash
	want := &leasev1.Evidence{
		CpuMs: 3000, MemoryBytes: 1002, Running: true, FirstSample: 20, Samples: 11, SamplesRoot: root,
		Devices: &leasev1.DeviceEvidence{
			DevicesHash: who, Driver: "575.57", UtilizationMin: 0, UtilizationMean: 40, UtilizationMax: 90, MemoryBytes: 1 << 30,
			EnergyMj: 3_000_000, BusyMs: 13_500, PowerLimitMw: 450_000, TemperatureMax: 70,
		},
	}
	if !proto.Equal(got, want) || len(root) != 32 || !bytes.Equal(who, evidence.Expected([][]byte{tag})) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestOpenedSamplesAreHeldAgainstTheBeat(t *testing.T) {
	samples := series(30)
	e := must(evidence.Summarize(10, samples[10:]))
	e.TaskId, e.ImageDigest = "t", "sha256:00"
	if err := evidence.Check(e, samples[10:]); err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(samples[15])
	changed[len(changed)-1] ^= 1
	swapped := append([][]byte{samples[11], samples[10]}, samples[12:]...)
	for name, opened := range map[string][][]byte{
		"one left out": samples[11:], "one more": samples[9:], "another order": swapped, "none": nil,
		"a byte changed": append(append(append([][]byte{}, samples[10:15]...), changed), samples[16:]...),
	} {
		if err := evidence.Check(e, opened); !errors.Is(err, evidence.ErrRoot) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The root is right and the summary is not: every figure is looked at.
	for name, lie := range map[string]func(*leasev1.Evidence){
		"cpu":         func(e *leasev1.Evidence) { e.CpuMs++ },
		"memory":      func(e *leasev1.Evidence) { e.MemoryBytes++ },
		"freezes":     func(e *leasev1.Evidence) { e.Freezes++ },
		"running":     func(e *leasev1.Evidence) { e.Running = false },
		"utilization": func(e *leasev1.Evidence) { e.Devices.UtilizationMean++ },
		"energy":      func(e *leasev1.Evidence) { e.Devices.EnergyMj++ },
		"busy":        func(e *leasev1.Evidence) { e.Devices.BusyMs++ },
		"temperature": func(e *leasev1.Evidence) { e.Devices.TemperatureMax-- },
		"driver":      func(e *leasev1.Evidence) { e.Devices.Driver = "1" },
		"devices":     func(e *leasev1.Evidence) { e.Devices.DevicesHash[0] ^= 1 },
		"foreign":     func(e *leasev1.Evidence) { e.Devices.Foreign++ },
		"errors":      func(e *leasev1.Evidence) { e.Devices.XidErrors++ },
		"no devices":  func(e *leasev1.Evidence) { e.Devices = nil },
	} {
		other := proto.CloneOf(e)
		lie(other)
		if err := evidence.Check(other, samples[10:]); !errors.Is(err, evidence.ErrSum) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsSoFarNeverFallsWhenADriverIsLoadedAgain(t *testing.T) {
	device := func(energy uint64) []*leasev1.DeviceSample {
		return []*leasev1.DeviceSample{{Tag: tag, EnergyCounterMj: energy, Utilization: 100}}
	}
	a := &leasev1.Sample{AtMs: 1000, CpuMs: 10, Freezes: 1, EnergyMj: 500, BusyMs: 7, Devices: device(9000)}
	b := &leasev1.Sample{AtMs: 2000, Devices: device(100)}
	evidence.Accumulate(a, b)
	c := &leasev1.Sample{AtMs: 99_000, Devices: device(150)}
	evidence.Accumulate(b, c)
	if c.EnergyMj != 550 || c.BusyMs != 7+1000+5000 || c.CpuMs != 10 || c.Freezes != 1 {
		t.Errorf("%v; a counter that began anew adds nothing, nor does an hour nobody looked at", c)
	}
}

func TestSamplesThatAreNoneAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"garbage":          []byte("garbage"),
		"an unknown field": append(bytes.Clone(series(1)[0]), 0xc0, 0x3e, 0x01),
		"too large":        make([]byte, evidence.MaxSample+1),
		"a short tag":      must(evidence.Marshal(&leasev1.Sample{Devices: []*leasev1.DeviceSample{{Tag: tag[1:]}}})),
	} {
		if _, err := evidence.Open(b); !errors.Is(err, evidence.ErrSample) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEachMismatchIsFound(t *testing.T) {
	before := must(evidence.Summarize(0, series(20)))
	before.TaskId, before.ImageDigest = "t", "sha256:00"
	for _, c := range []struct {
		name   string
		change func(*evidence.Case, *leasev1.Evidence)
		want   []leasev1.Mismatch
	}{
		{"nothing", func(*evidence.Case, *leasev1.Evidence) {}, nil},
		{"another image", func(_ *evidence.Case, e *leasev1.Evidence) { e.ImageDigest = "sha256:11" }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_IMAGE}},
		{"another task", func(_ *evidence.Case, e *leasev1.Evidence) { e.TaskId = "u" }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_TASK}},
		{"it runs after its end", func(c *evidence.Case, _ *leasev1.Evidence) { c.Seen = &leasev1.Observation{Ended: true} }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_TASK}},
		{"less cpu than before", func(_ *evidence.Case, e *leasev1.Evidence) { e.CpuMs = 1 }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_COUNTERS}},
		{"samples left out", func(_ *evidence.Case, e *leasev1.Evidence) { e.FirstSample++ }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_COUNTERS}},
		{"few samples", func(_ *evidence.Case, e *leasev1.Evidence) { e.Samples = 4 }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_SAMPLES}},
		{"another device", func(_ *evidence.Case, e *leasev1.Evidence) { e.Devices.DevicesHash = make([]byte, 32) }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_DEVICES}},
		{"another driver", func(_ *evidence.Case, e *leasev1.Evidence) { e.Devices.Driver = "1" }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_DEVICES}},
		{"devices fell silent", func(_ *evidence.Case, e *leasev1.Evidence) { e.Devices = nil }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_DEVICES}},
		{"somebody else", func(_ *evidence.Case, e *leasev1.Evidence) { e.Devices.Foreign = 1 }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_FOREIGN}},
		{"more energy than the card takes", func(_ *evidence.Case, e *leasev1.Evidence) { e.Devices.EnergyMj += 450_000 * 60 }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_POWER}},
		{"less energy than before", func(_ *evidence.Case, e *leasev1.Evidence) { e.Devices.EnergyMj = 0 }, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_POWER}},
		{"all at once", func(_ *evidence.Case, e *leasev1.Evidence) {
			e.ImageDigest, e.TaskId, e.Samples, e.Devices.Foreign = "sha256:11", "u", 4, 1
		}, []leasev1.Mismatch{leasev1.Mismatch_MISMATCH_IMAGE, leasev1.Mismatch_MISMATCH_TASK, leasev1.Mismatch_MISMATCH_SAMPLES, leasev1.Mismatch_MISMATCH_FOREIGN}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := evidence.Case{
				Image: "sha256:00", Tags: [][]byte{tag}, Before: before, CreditMS: 20_000, PassedMS: 20_000,
				Seen: &leasev1.Observation{Running: true},
			}
			e := must(evidence.Summarize(20, series(40)[20:]))
			e.TaskId, e.ImageDigest = "t", "sha256:00"
			c.change(&at, e)
			if diff := cmp.Diff(c.want, evidence.Judge(at, e)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestEveryMismatchHasWords(t *testing.T) {
	for n := range leasev1.Mismatch_name {
		m := leasev1.Mismatch(n)
		if said := evidence.Words(m) != m.String(); said != (m != leasev1.Mismatch_MISMATCH_UNSPECIFIED) {
			t.Errorf("%s: %q", m, evidence.Words(m))
		}
	}
}

func TestWhatIsTrimmedFromACloseStandsInTheLastBeat(t *testing.T) {
	last := must(evidence.Summarize(0, series(20)))
	last.TaskId, last.ImageDigest = "t", "sha256:00"
	for name, e := range map[string]*leasev1.Evidence{
		"the same devices": must(evidence.Summarize(20, series(40)[20:])),
		"no devices":       {CpuMs: 7},
		"another driver":   {TaskId: "t", Devices: &leasev1.DeviceEvidence{DevicesHash: make([]byte, 32), Driver: "1"}},
	} {
		if e.TaskId == "" {
			e.TaskId, e.ImageDigest = "t", "sha256:00"
		}
		e.ImageDigest = "sha256:00"
		small := evidence.Trim(e, last)
		if small.TaskId != "" || small.ImageDigest != "" || !proto.Equal(evidence.Complete(small, last), e) {
			t.Errorf("%s: %v becomes %v", name, e, small)
		}
	}
	if evidence.Trim(nil, last) != nil || evidence.Complete(nil, last) != nil {
		t.Error("no evidence becomes some")
	}
}

// FuzzSamples: whatever bytes are opened, nothing panics, and what is accepted
// is summarized the same way twice.
func FuzzSamples(f *testing.F) {
	for _, s := range series(3) {
		f.Add(s)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := evidence.Open(b); err != nil {
			return
		}
		e, err := evidence.Summarize(0, [][]byte{b, b})
		if err != nil {
			t.Fatal(err)
		}
		if err := evidence.Check(e, [][]byte{b, b}); err != nil {
			t.Fatal(fmt.Errorf("%x: %w", b, err))
		}
	})
}
