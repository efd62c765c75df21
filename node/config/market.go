package config

import (
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
)

// Market is what the owner of a worker decided about the jobs it bids for.
type Market struct {
	// Region is where the machine is, "eu-west"; empty: not said.
	Region string
	// MinDuration is the shortest limit of a lease worth its start; 0: any.
	MinDuration time.Duration
	// StampBits is the proof of work asked of everybody who announces; 0: none.
	StampBits int
}

// market sets what the file says about it.
func (f file) market(m *Market) {
	set(&m.Region, f.Region)
	set(&m.StampBits, f.StampBits)
	set((*Duration)(&m.MinDuration), f.MinDuration)
}

// check names everything that is wrong with it.
func (m Market) check(longest time.Duration, wrong func(format string, args ...any)) {
	if m.Region != "" && !job.IsRegion(m.Region) {
		wrong("region %q: want a-z, 0-9 and hyphens between them, such as eu-west", m.Region)
	}
	if m.MinDuration < 0 || m.MinDuration > longest {
		wrong("min-duration %s: want 0 to max-duration, %s", m.MinDuration, longest)
	}
	if m.StampBits < 0 || m.StampBits > market.MaxStampBits {
		wrong("stamp-bits %d: want 0 to %d", m.StampBits, market.MaxStampBits)
	}
}
