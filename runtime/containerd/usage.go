//go:build linux

package containerd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
)

// Usage tells what a task uses just now, from its control groups and its disk.
func (r *Runtime) Usage(_ context.Context, id string) (runtime.Usage, error) {
	var u runtime.Usage
	_, ended, err := r.ended(id)
	if err == nil && ended {
		err = runtime.ErrNotRunning
	}
	if err != nil {
		return u, fmt.Errorf("usage of task %s: %w", id, err)
	}
	u = r.cgroup(id).usage()
	at := r.paths.mount(id, diskMount)
	var st unix.Statfs_t
	if isMount(at) && unix.Statfs(at, &st) == nil {
		size := uint64(st.Bsize)
		u.DiskBytes, u.DiskLimit = (st.Blocks-st.Bfree)*size, st.Blocks*size
		u.Files, u.FilesLimit = st.Files-st.Ffree, st.Files
	}
	return u, nil
}

func (g cgroup) usage() runtime.Usage {
	u := runtime.Usage{
		CPUTime: g.cpuTime(), CPUMillis: g.cpuLimit(), MemoryLimit: g.number("memory", "memory.max", "memory.limit_in_bytes"),
		Pids: g.number("pids", "pids.current"), PidsLimit: g.number("pids", "pids.max"),
	}
	stat := g.read("memory", "memory.stat")
	idle := max(field(stat, "inactive_file"), field(stat, "total_inactive_file")) // its children's too, with version 1
	u.MemoryBytes = g.memory() - min(g.memory(), uint64(idle))
	u.Read, u.Written = g.traffic()
	return u
}

// number is what the first of some files holds that is there; 0 without one, or for "max".
func (g cgroup) number(controller string, files ...string) uint64 {
	for _, file := range files {
		if n, err := strconv.ParseUint(g.read(controller, file), 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// cpuLimit is in thousandths of a core.
func (g cgroup) cpuLimit() uint64 {
	quota, period := g.number("cpu", "cpu.cfs_quota_us"), g.number("cpu", "cpu.cfs_period_us")
	if both := strings.Fields(g.read("", "cpu.max")); len(both) == 2 {
		quota, _ = strconv.ParseUint(both[0], 10, 64) // or "max"
		period, _ = strconv.ParseUint(both[1], 10, 64)
	}
	return quota * 1000 / max(period, 1)
}

// traffic is what was read from devices and written to them.
func (g cgroup) traffic() (read, written uint64) {
	for line := range strings.Lines(g.read("", "io.stat")) { // 7:0 rbytes=1 wbytes=2 …
		for _, word := range strings.Fields(line) {
			name, value, _ := strings.Cut(word, "=")
			n, _ := strconv.ParseUint(value, 10, 64)
			switch name {
			case "rbytes":
				read += n
			case "wbytes":
				written += n
			}
		}
	}
	for line := range strings.Lines(g.read("blkio", "blkio.throttle.io_service_bytes")) { // 7:0 Read 1
		words := strings.Fields(line)
		if len(words) != 3 {
			continue // "Total 3"
		}
		n, _ := strconv.ParseUint(words[2], 10, 64)
		switch words[1] {
		case "Read":
			read += n
		case "Write":
			written += n
		}
	}
	return read, written
}
