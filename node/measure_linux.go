package node

import (
	"fmt"
	goruntime "runtime"

	"golang.org/x/sys/unix"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// measure says what this machine has: cores, memory, and the disk under dir.
func measure(dir string) (*marketv1.Machine, error) {
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil, fmt.Errorf("disk under %s: %w", dir, err)
	}
	return &marketv1.Machine{
		Cpus:        uint32(goruntime.NumCPU()),
		MemoryBytes: uint64(si.Totalram) * uint64(si.Unit),
		DiskBytes:   fs.Bavail * uint64(fs.Bsize),
		Platform:    "linux/" + goruntime.GOARCH,
	}, nil
}
