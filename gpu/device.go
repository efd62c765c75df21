package gpu

// Device is one GPU, or one slice of one, as the inventory sees it. What a
// driver does not tell is the zero value.
type Device struct {
	UUID      string // the driver's, "GPU-…" or "MIG-…"; "SIM-…" when simulated
	Model     string // slug of the catalog: "rtx-4090"
	VRAM      uint64 // bytes, as the driver reports them
	Simulated bool   // there is no such card; the offer must say so
	Price     uint64 // micro-credits per GPU-hour; 0: the worker's floor

	Name       string  // the driver's product name: "NVIDIA GeForce RTX 4090"
	Capability Version // compute capability: "8.9"
	Driver     Version // of the kernel driver: "580.95.05"
	CUDA       Version // the newest that the driver runs: "13.0"
	PCI        PCI
	Power      PowerLimits
	ECC        bool // on now; costs some VRAM
	MIG        MIG
	NVLink     []string // UUIDs of the devices that an active link leads to, sorted; through a switch, all of them
	NUMANode   int      // of the host; -1 when it has none
	Fault      Fault    // why it cannot be lent now; FaultNone when it can
	FaultText  string   // the same for people, with what was read
}

// PCI is where a device sits.
type PCI struct {
	Address    string // domain:bus:device.function, in lower case: "0000:65:00.0"
	Vendor     uint16 // 0x10de is NVIDIA
	ID         uint16 // of the product
	Generation uint8  // the fastest both ends can do, 1 to 7; idle cards go slower
	Width      uint8  // lanes in use at most: 16
	Switch     string // address of the upstream port of the switch it hangs on; two with one share its lanes; "": no switch
}

// PowerLimits are in milliwatts; all 0 where the driver does not manage power.
type PowerLimits struct {
	Now, Default, Least, Most uint32
}

// MIG is how a card is cut, and which slice a device is.
type MIG struct {
	Enabled bool   // the card itself: it is cut, and only its slices can be lent
	Parent  string // a slice: UUID of its card
	Profile string // a slice: "1g.10gb"
}

// Slice says whether the device is a part of a card.
func (d Device) Slice() bool { return d.MIG.Parent != "" }

// Fault is what takes a device out of service.
type Fault uint8

// The faults.
const (
	FaultNone    Fault = iota
	FaultHang          // the driver does not answer
	FaultCrash         // whatever reads the device ended, more than once in a short time
	FaultLost          // the card fell off the bus
	FaultXid           // the driver reported an error after which the card's work is not to be trusted
	FaultDriver        // no driver, or one too old to lend with
	FaultBus           // the driver claims what the PCI bus does not have
	FaultMemory        // memory errors that could not be corrected, or what a tenant left could not be cleared
	FaultTooHot        // above the owner's ceiling, or the card's own
	FaultForeign       // somebody else's process computes on it
)

var faultNames = [...]string{"none", "hang", "crash", "lost", "xid", "driver", "bus", "memory", "too-hot", "foreign"}

// String is the fault in one word.
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return "fault"
}
