package job

import "time"

// Limits of what messages may carry. A message beyond one is invalid, whoever signed it.
const (
	MaxGPUs       = 64              // devices of one job, offer or bid
	MaxModels     = 32              // slugs in a requirement
	MaxModelBytes = 48              // of one slug, or of a MIG profile
	MaxVersion    = 24              // bytes of a driver's version, a CUDA version or a compute capability
	MaxVRAM       = uint64(1) << 41 // bytes of one device: 2 TiB
	MaxCPUMillis  = 1_024_000       // thousandths of a core: 1,024 cores
	MaxMemory     = uint64(1) << 46 // bytes: 64 TiB
	MaxDisk       = uint64(1) << 50 // bytes: 1 PiB
	LeastDisk     = uint64(1) << 28 // bytes for a task that names no size, at least: 256 MiB
	MaxPids       = 1 << 20         // processes and threads of one task
	MaxMarks      = 8               // blobs of an image that an announcement names
	MaxBlobTotal  = uint64(1) << 44 // bytes of one image or input: 16 TiB
	MaxImageIndex = uint64(4) << 20 // bytes of an image's index or manifest: 4 MiB
	MaxLayers     = 128             // of one image
	MaxNetwork    = 32              // bytes of a network's name
	MaxPlatform   = 32              // bytes of a platform
	MaxNameBytes  = 128             // of a job's name, an image's name, a user
	MaxPath       = 1024            // bytes of one path in a task
	MaxFolders    = 32              // inputs of a job, and outputs
	MaxArgs       = 1024            // words of an entrypoint or a command
	MaxArgsBytes  = 128 << 10       // of all words of one of them together
	MaxEnv        = 256             // variables
	MaxEnvBytes   = 128 << 10       // of all variables together
	MaxPeerRecord = 4 << 10         // bytes of a signed peer record
	MaxRegion     = 24              // bytes of a region's name
	MaxRegions    = 8               // that a job may run in
	MaxWitnesses  = 16              // of one lease
	MaxReceipt    = 16 << 10        // bytes of a receipt's file
	MinUnpaid     = 2               // intervals: two challenges can be 1.6 apart
	MaxUnpaid     = 100             // intervals a lease may go on unpaid
	MinSealT      = uint64(1) << 10 // squarings of a seal
	MaxSealT      = uint64(1) << 24 // squarings of a seal
	MaxSealRate   = uint64(100)     // squarings per millisecond of an interval: some 10 % of one core
)

// Seal suites and moduli that terms may name.
const (
	SealNone       uint32 = 0
	SealWesolowski uint32 = 1
	SealRSA2048    uint32 = 1 // modulus
)

// Limits of a task's way out.
const (
	MaxHosts     = 16
	MaxHostBytes = 253
)

// Limits of time.
const (
	MinDuration         = time.Second            // of a lease or a task
	MaxDuration         = 90 * 24 * time.Hour    // of a lease or a task
	MinInterval         = 100 * time.Millisecond // between heartbeats
	MaxInterval         = time.Hour
	MaxAbsentGrace      = 24 * time.Hour   // of silence before a lease lapses
	MaxYieldNotice      = time.Hour        // from the word that the owner takes a machine back to the task's end
	MaxStartBy          = 24 * time.Hour   // from the terms to the start of the task
	MaxOfferLife        = time.Hour        // from issue to expiry
	MaxAnnouncementLife = time.Hour        // from issue to expiry
	MaxBidLife          = 10 * time.Minute // from issue to expiry
	MaxClockSkew        = 5 * time.Minute  // a statement may be from this far in the future
)
