package evidence

import (
	"crypto/sha256"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Summarize gives the evidence of some samples of a lease, the first of which
// has number first. Whose they are is for the caller to say.
func Summarize(first uint64, samples [][]byte) (*leasev1.Evidence, error) {
	e := &leasev1.Evidence{FirstSample: first, Samples: uint64(len(samples)), SamplesRoot: heartbeat.RootOf(samples)}
	var devices summary
	for _, b := range samples {
		if len(b) == 0 {
			continue // it was lost
		}
		s, err := Open(b)
		if err != nil {
			return nil, err
		}
		e.Running, e.Freezes, e.CpuMs = s.GetRunning(), s.GetFreezes(), s.GetCpuMs()
		e.MemoryBytes = max(e.MemoryBytes, s.GetMemoryBytes())
		devices.add(s)
	}
	e.Devices = devices.evidence()
	return e, nil
}

// summary adds up the devices of samples.
type summary struct {
	last     *leasev1.Sample // of those with devices
	readings uint64
	sum      uint64 // of utilizations
	least    uint32
	most     uint32
	memory   uint64
	hottest  int32
	foreign  uint32
	who      []byte // of the sample with the most foreign processes
}

func (m *summary) add(s *leasev1.Sample) {
	if len(s.GetDevices()) == 0 {
		return
	}
	m.last = s
	var memory uint64
	var foreign uint32
	who := sha256.New()
	for _, d := range s.GetDevices() {
		if m.readings == 0 || d.GetUtilization() < m.least {
			m.least = d.GetUtilization()
		}
		if m.readings == 0 || d.GetTemperature() > m.hottest {
			m.hottest = d.GetTemperature()
		}
		m.readings++
		m.sum += uint64(d.GetUtilization())
		m.most = max(m.most, d.GetUtilization())
		memory += d.GetMemoryBytes()
		foreign += d.GetForeign()
		who.Write(d.GetForeignHash())
	}
	m.memory = max(m.memory, memory)
	if foreign > m.foreign {
		h := statement.H("foreign", who.Sum(nil))
		m.foreign, m.who = foreign, h[:]
	}
}

// evidence is the sum, and nil when no device was read.
func (m *summary) evidence() *leasev1.DeviceEvidence {
	if m.last == nil {
		return nil
	}
	var tags [][]byte
	var limit uint64
	for _, d := range m.last.GetDevices() {
		tags = append(tags, d.GetTag())
		limit += d.GetPowerLimitMw()
	}
	hash := devicesHash(tags)
	return &leasev1.DeviceEvidence{
		DevicesHash: hash[:], Driver: m.last.GetDriver(),
		UtilizationMin: m.least, UtilizationMean: uint32(m.sum / m.readings), UtilizationMax: m.most,
		MemoryBytes: m.memory, EnergyMj: m.last.GetEnergyMj(), BusyMs: m.last.GetBusyMs(),
		PowerLimitMw: limit, TemperatureMax: m.hottest,
		Foreign: m.foreign, ForeignHash: m.who,
		XidErrors: m.last.GetXidErrors(), EccErrors: m.last.GetEccErrors(),
	}
}

// devicesHash names devices by their tags, in the order of the terms.
func devicesHash(tags [][]byte) statement.Hash {
	h := sha256.New()
	for _, t := range tags {
		h.Write(t)
	}
	return statement.H("devices", h.Sum(nil))
}
