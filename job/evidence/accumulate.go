package evidence

import (
	"bytes"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// maxGap is the longest time between two samples, in ms, for which the later one
// speaks of utilization: beyond it nobody looked.
const maxGap = 5000

// Accumulate fills in what a sample says about everything so far, from the one
// before and from its own readings. A counter that fell began anew, with a driver
// that was loaded again, and adds nothing: what is so far never falls.
func Accumulate(before, s *leasev1.Sample) {
	s.EnergyMj, s.BusyMs = before.GetEnergyMj(), before.GetBusyMs()
	s.XidErrors, s.EccErrors = before.GetXidErrors(), before.GetEccErrors()
	s.CpuMs, s.Freezes = max(s.CpuMs, before.GetCpuMs()), max(s.Freezes, before.GetFreezes())
	gap := max(0, min(s.GetAtMs()-before.GetAtMs(), maxGap))
	for _, d := range s.GetDevices() {
		was := deviceOf(before, d.GetTag())
		if was == nil {
			continue // nothing to compare with: what it used before is not the task's
		}
		s.EnergyMj += grown(was.GetEnergyCounterMj(), d.GetEnergyCounterMj())
		s.XidErrors += grown(was.GetXidCounter(), d.GetXidCounter())
		s.EccErrors += grown(was.GetEccCounter(), d.GetEccCounter())
		s.BusyMs += uint64(d.GetUtilization()) * uint64(gap) / 100
	}
}

func grown(from, to uint64) uint64 {
	if to < from {
		return 0
	}
	return to - from
}

func deviceOf(s *leasev1.Sample, tag []byte) *leasev1.DeviceSample {
	for _, d := range s.GetDevices() {
		if bytes.Equal(d.GetTag(), tag) {
			return d
		}
	}
	return nil
}
