// Package market is the rules of the auction, as pure functions: may a worker
// bid and at what price, why not and at which terms it would, which bid wins,
// and what to tell a person when nobody bids.
//
// Nothing here reads a clock, keeps state or talks to anybody. Messages are
// taken as package job checked them.
package market

import (
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Worker is what the rules need to know of a worker at one moment.
type Worker struct {
	Network        string
	Floor          uint64 // micro-credits per GPU-hour, the least for any device
	Machine        *marketv1.Machine
	DiskTaken      uint64        // bytes of the machine's disk that a further task cannot have now
	Devices        []gpu.Device  // in service, held or free
	Lent           []gpu.Device  // those of them that the owner lends now
	Free           []gpu.Device  // those of these that nobody holds
	FreeAt         time.Time     // when the next lease ends at the latest; zero when not known
	BackAt         time.Time     // when the owner next lends more; zero when not known
	Draining       bool          // takes no new work
	MaxDuration    time.Duration // of a lease; 0: as long as anybody wants
	Access         job.Access    // the most that a task may have
	MinDuration    time.Duration // the shortest limit of a lease worth its start; 0: any
	MaxAbsentGrace time.Duration // silence the worker sits through; for its bids
	Region         string        // where its owner says it is; empty: not said
	Images         Images        // those that its owner runs
}

// price is what one device costs, in micro-credits per GPU-hour.
func (w Worker) price(d gpu.Device) uint64 { return max(d.Price, w.Floor) }

// Willing is a worker's yes: these devices, at this price each. It reserves nothing.
type Willing struct {
	Devices []gpu.Device
	Price   uint64 // micro-credits per GPU-hour, of each device
}

// Requirement is a message's requirement in the words of package gpu.
func Requirement(r *marketv1.Requirement) gpu.Requirement {
	return gpu.Requirement{
		Count:          int(r.GetCount()),
		Models:         r.GetModels(),
		VRAM:           r.GetVramBytes(),
		Capability:     gpu.Version(r.GetCapability()),
		Driver:         gpu.Version(r.GetDriver()),
		CUDA:           gpu.Version(r.GetCuda()),
		NVLink:         r.GetNvlink(),
		Exclusive:      r.GetExclusive(),
		MIG:            r.GetMig(),
		AllowSimulated: r.GetAllowSimulated(),
	}
}

// Device is a message's device in the words of package gpu. The UUID stays
// empty: only its owner knows it.
func Device(d *marketv1.Device) gpu.Device {
	return gpu.Device{
		Model: d.GetModel(), VRAM: d.GetVramBytes(), Price: d.GetPrice(), Simulated: d.GetSimulated(),
		Capability: gpu.Version(d.GetCapability()), Driver: gpu.Version(d.GetDriver()), CUDA: gpu.Version(d.GetCuda()),
		MIG: gpu.MIG{Profile: d.GetMig()},
	}
}
