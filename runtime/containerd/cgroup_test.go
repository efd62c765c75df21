//go:build linux

package containerd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
)

// files makes a folder that looks like a mounted hierarchy.
func files(t *testing.T, contents map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range contents {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestBothVersionsOfControlGroupsAreRead(t *testing.T) {
	for name, root := range map[string]string{
		"one": files(t, map[string]string{
			"cpuacct/node/task/cpuacct.usage": "1500000\n", "memory/node/task/memory.usage_in_bytes": "4096\n",
			"memory/node/task/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
			"memory/node/task/memory.stat":        "inactive_file 1\ntotal_inactive_file 1096\n", "memory/node/task/memory.limit_in_bytes": "8192\n",
			"cpu/node/task/cpu.cfs_quota_us": "50000\n", "cpu/node/task/cpu.cfs_period_us": "100000\n",
			"pids/node/task/pids.current": "3\n", "pids/node/task/pids.max": "20\n",
			"blkio/node/task/blkio.throttle.io_service_bytes": "7:0 Read 100\n7:0 Write 200\n8:0 Read 1\n7:0 Total 300\nTotal 301\n",
			"blkio/blkio.throttle.read_bps_device":            "", "systemd/x": ""}),
		"two": files(t, map[string]string{
			"cgroup.controllers": "cpuset cpu io memory pids\n", "node/task/cpu.stat": "usage_usec 1500\nuser_usec 1\n",
			"node/task/memory.stat": "anon 9\ninactive_file 1096\n", "node/task/memory.max": "8192\n", "node/task/cpu.max": "50000 100000\n",
			"node/task/pids.current": "3\n", "node/task/pids.max": "20\n", "node/task/io.stat": "7:0 rbytes=100 wbytes=200 rios=1\n8:0 rbytes=1 wbytes=0\n",
			"node/task/memory.current": "4096\n", "node/task/memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"}),
	} {
		g := cgroup{path: "node/task", root: root}
		if g.cpuTime() != 1500*time.Microsecond || g.memory() != 4096 || g.oomKills() != 2 || !throttles(root) {
			t.Errorf("version %s: %v, %d bytes, %d kills, throttles %v", name, g.cpuTime(), g.memory(), g.oomKills(), throttles(root))
		}
		want := runtime.Usage{CPUTime: 1500 * time.Microsecond, CPUMillis: 500, MemoryBytes: 3000, MemoryLimit: 8192, Pids: 3, PidsLimit: 20, Read: 101, Written: 200}
		if got := g.usage(); got != want {
			t.Errorf("version %s: %+v, want %+v", name, got, want)
		}
		if want := map[string]int{"one": 6, "two": 1}[name]; len(hierarchiesIn(root)) != want {
			t.Errorf("version %s: hierarchies %v", name, hierarchiesIn(root))
		}
	}
	if got := (cgroup{path: "gone", root: t.TempDir()}).usage(); got != (runtime.Usage{}) {
		t.Errorf("of nothing: %+v", got)
	}
	if throttles(files(t, map[string]string{"cgroup.controllers": "cpu memory\n"})) || throttles(t.TempDir()) {
		t.Error("a kernel that cannot throttle is said to")
	}
}

func TestATasksDiskIsThrottled(t *testing.T) {
	h := open(t)
	if !throttles(cgroupRoot) {
		t.Skip("this kernel cannot bound what is read and written")
	}
	h.shell(t, runtime.Spec{ID: "task", Limits: runtime.Limits{IOBytes: 5 << 20, DiskBytes: 64 << 20}}, "sleep 1000")
	device, err := deviceOf(h.paths.mount("task", diskMount))
	if err != nil {
		t.Fatal(err)
	}
	g := h.cgroup("task")
	got := g.read("blkio", "blkio.throttle.write_bps_device") + g.read("", "io.max")
	want := fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
	if !strings.Contains(got, want) || !strings.Contains(got, fmt.Sprint(5<<20)) {
		t.Errorf("%q, want %s", got, want)
	}
}
