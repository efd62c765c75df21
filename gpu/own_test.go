package gpu_test

import (
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
)

// shown is a reading of so many seconds after the start, with processes.
func shown(second float64, pids ...uint32) gpu.Sample {
	s := gpu.Sample{At: at(second)}
	for _, pid := range pids {
		s.Processes = append(s.Processes, gpu.Process{PID: pid, Kind: gpu.ProcessCompute})
	}
	return s
}

func at(second float64) time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(second * float64(time.Second)))
}

func TestAStrangerIsThereBeforeAndAfterAListThatDoesNotNameIt(t *testing.T) {
	type list struct {
		second float64
		pids   []uint32
	}
	for name, c := range map[string]struct {
		lists    []list
		readings []gpu.Sample
		want     int
	}{
		"beside the task":                  {[]list{{1, []uint32{11}}, {2, []uint32{11}}}, []gpu.Sample{shown(0.5, 11, 12), shown(1.5, 11, 12)}, 1},
		"one that ended since it was read": {[]list{{1, []uint32{11}}, {2, []uint32{12}}}, []gpu.Sample{shown(0.5, 11), shown(1.5, 11)}, 0},
		"one that takes long to end":       {[]list{{1, []uint32{11}}, {2, nil}, {3, nil}}, []gpu.Sample{shown(1.5, 11), shown(2.5, 11)}, 0},
		"what was before the task":         {[]list{{3, nil}, {4, []uint32{11}}}, []gpu.Sample{shown(1.5, 7), shown(2.5, 7)}, 0},
		"born after the list":              {[]list{{1, nil}, {2, nil}}, []gpu.Sample{shown(0.5, 11), shown(1.5, 12)}, 0},
		"before anything was read":         {[]list{{1, nil}, {2, nil}}, nil, 0},
		"before a second list":             {[]list{{2, nil}}, []gpu.Sample{shown(0.5, 12), shown(1.5, 12)}, 0},
		"a number that is somebody's anew": {[]list{{0, []uint32{12}}, {100, nil}, {101, nil}}, []gpu.Sample{shown(99.5, 12), shown(100.5, 12)}, 1},
	} {
		var own gpu.Own
		for _, l := range c.lists {
			own.Listed(at(l.second), l.pids)
		}
		if got := own.Strangers(c.readings); len(got) != c.want {
			t.Errorf("%s: %v, want %d", name, got, c.want)
		}
	}
}
