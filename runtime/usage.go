package runtime

import "time"

// Usage is what a task uses of its host, and what it may. A limit of 0 is not known.
type Usage struct {
	CPUTime       time.Duration // since it began
	CPUMillis     uint64        // limit; 1000 is one core
	MemoryBytes   uint64        // without what the kernel can let go of
	MemoryLimit   uint64
	Pids          uint64 // processes and threads, those of the runtime's own in the task too
	PidsLimit     uint64
	DiskBytes     uint64 // of its own disk
	DiskLimit     uint64
	Files         uint64 // on it
	FilesLimit    uint64
	Read, Written uint64 // bytes from it and to it, since it began
}
