package evidence

import (
	"bytes"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Case is what a requester judges a beat's evidence by.
type Case struct {
	Image    string            // of the terms
	Tags     [][]byte          // of the terms
	Before   *leasev1.Evidence // of the last co-signed beat; nil for the first
	CreditMS uint64            // claimed since then, in ms per device
	PassedMS uint64            // since then, by the requester's own clock
	Seen     *leasev1.Observation
}

// Judge names every way in which evidence does not fit what the requester's side
// knows, in ascending order.
func Judge(c Case, e *leasev1.Evidence) []leasev1.Mismatch {
	var out []leasev1.Mismatch
	for _, r := range []struct {
		wrong bool
		what  leasev1.Mismatch
	}{
		{e.GetImageDigest() != "" && e.GetImageDigest() != c.Image, leasev1.Mismatch_MISMATCH_IMAGE},
		{c.otherTask(e), leasev1.Mismatch_MISMATCH_TASK},
		{c.fell(e), leasev1.Mismatch_MISMATCH_COUNTERS},
		{2000*(e.GetSamples()+slackSamples) < c.CreditMS, leasev1.Mismatch_MISMATCH_SAMPLES},
		{c.otherDevices(e.GetDevices()), leasev1.Mismatch_MISMATCH_DEVICES},
		{e.GetDevices().GetForeign() > 0, leasev1.Mismatch_MISMATCH_FOREIGN},
		{c.power(e.GetDevices()), leasev1.Mismatch_MISMATCH_POWER},
	} {
		if r.wrong {
			out = append(out, r.what)
		}
	}
	return out
}

// slackSamples is how many seconds of an interval may go by without samples for
// reasons that are nobody's fault: a start, a busy machine, a runtime that is
// away for a moment.
const slackSamples = 5

func (c Case) otherTask(e *leasev1.Evidence) bool {
	before := c.Before.GetTaskId()
	return e.GetRunning() && c.Seen.GetEnded() || before != "" && e.GetTaskId() != before
}

func (c Case) fell(e *leasev1.Evidence) bool {
	b := c.Before
	next := b.GetFirstSample() + b.GetSamples()
	return e.GetFirstSample() != next && e.GetSamples() > 0 ||
		e.GetSamples() > 0 && (e.GetCpuMs() < b.GetCpuMs() || e.GetFreezes() < b.GetFreezes())
}

// otherDevices compares with the terms what devices were read. One that cannot be
// read any more leaves a hash of fewer, which is another.
func (c Case) otherDevices(d *leasev1.DeviceEvidence) bool {
	if d == nil {
		return c.Before.GetDevices() != nil && c.CreditMS > 1000*slackSamples
	}
	before := c.Before.GetDevices()
	return !bytes.Equal(d.GetDevicesHash(), Expected(c.Tags)) || before != nil && d.GetDriver() != before.GetDriver()
}

// power compares the energy claimed with what the limit allows in the time that
// passed, and half as much again, because a limit is an average.
func (c Case) power(d *leasev1.DeviceEvidence) bool {
	before := c.Before.GetDevices()
	if d == nil || before == nil {
		return false
	}
	if d.GetEnergyMj() < before.GetEnergyMj() {
		return true
	}
	const megawatt = 1_000_000_000 // in mW: no machine has more, and no product below overflows
	limit := min(d.GetPowerLimitMw(), megawatt)
	seconds := c.PassedMS/1000 + 2*slackSamples
	return limit > 0 && d.GetEnergyMj()-before.GetEnergyMj() > limit*seconds*3/2 // a milliwatt is a millijoule a second
}

var words = map[leasev1.Mismatch]string{
	leasev1.Mismatch_MISMATCH_IMAGE:    "another image than the terms name",
	leasev1.Mismatch_MISMATCH_TASK:     "another task than before, or one that runs although its end was shown",
	leasev1.Mismatch_MISMATCH_COUNTERS: "a counter that only grows fell, or samples are left out",
	leasev1.Mismatch_MISMATCH_SAMPLES:  "fewer samples than half the seconds claimed",
	leasev1.Mismatch_MISMATCH_DEVICES:  "other devices than the terms name, or another driver than before",
	leasev1.Mismatch_MISMATCH_FOREIGN:  "somebody else computes on the devices",
	leasev1.Mismatch_MISMATCH_POWER:    "more energy than the power limit allows, or less than before",
}

// Words says a mismatch in words, for people.
func Words(m leasev1.Mismatch) string {
	if w, ok := words[m]; ok {
		return w
	}
	return m.String()
}
