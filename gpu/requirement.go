package gpu

import "slices"

// Requirement is what a job needs of the devices it gets. What is zero is not asked for.
type Requirement struct {
	Count      int      // devices; at least 1
	Models     []string // any of these slugs; empty: any
	VRAM       uint64   // bytes per device, by Holds
	Capability Version  // compute capability of each device, at least
	Driver     Version  // of the kernel driver, at least
	CUDA       Version  // the newest that the driver runs, at least
	NVLink     bool     // all devices in one island of Islands
	MIG        string   // slices of this profile, "1g.10gb"; empty: whole cards
	// Exclusive: the job has the machine for itself, so that the devices are all that the machine lends.
	Exclusive      bool
	AllowSimulated bool
}

// rule is one part of a requirement that a single device meets or not.
type rule struct {
	lack Lack
	fits func(Requirement, Device) bool
}

// rules go from what cannot be changed to what can: the first that too few
// devices meet is the one to name.
var rules = []rule{
	{LackSimulated, func(r Requirement, d Device) bool { return r.AllowSimulated || !d.Simulated }},
	{LackMIG, func(r Requirement, d Device) bool { return d.MIG.Profile == r.MIG && !d.MIG.Enabled }},
	{LackModel, func(r Requirement, d Device) bool { return len(r.Models) == 0 || slices.Contains(r.Models, d.Model) }},
	{LackCapability, func(r Requirement, d Device) bool { return d.Capability.AtLeast(r.Capability) }},
	{LackDriver, func(r Requirement, d Device) bool { return d.Driver.AtLeast(r.Driver) }},
	{LackCUDA, func(r Requirement, d Device) bool { return d.CUDA.AtLeast(r.CUDA) }},
	{LackVRAM, func(r Requirement, d Device) bool { return Holds(d.VRAM, r.VRAM) }},
}

// Fits says whether one device will do, as far as that depends on it alone.
func (r Requirement) Fits(d Device) bool {
	for _, rule := range rules {
		if !rule.fits(r, d) {
			return false
		}
	}
	return true
}
