package gpu

// Inventory is what one machine has, from every source that was asked. The zero
// Inventory is a machine without a GPU.
type Inventory struct {
	Driver  Version  // NVIDIA's kernel driver; "" when none is loaded
	CUDA    Version  // the newest that the driver runs
	Devices []Device // what can be lent, and what could be but for its Fault; by PCI address, slices after their card
	// Others are GPUs that are there and cannot be lent by this version: other
	// makers' cards, and NVIDIA's own that no driver serves.
	Others []Other
	// Problems keep the whole machine from lending as it could.
	Problems []Problem
}

// Other is a GPU that is seen on the bus and not lent.
type Other struct {
	PCI    PCI
	Vendor string // "AMD", "Intel", "NVIDIA"
	Driver string // kernel driver bound to it: "amdgpu"; "" when none is
	Reason string // why it is not lent, one sentence
}

// Problem is something that is wrong with a machine's GPUs as a whole.
type Problem struct {
	Code   string // one word for scripts: "no-driver"
	Text   string // one sentence: what is wrong
	Remedy string // what to do about it
}

// Lendable lists the devices without a fault that are not cards cut into slices.
func (v Inventory) Lendable() []Device {
	var out []Device
	for _, d := range v.Devices {
		if d.Fault == FaultNone && !d.MIG.Enabled {
			out = append(out, d)
		}
	}
	return out
}

// Change is a device that fell out of service or came back into it.
type Change struct {
	UUID  string
	Fault Fault  // FaultNone: it is back
	Text  string // what was seen
}
