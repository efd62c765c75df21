//go:build linux

package containerd

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroup is a task's control group, in every hierarchy of this host: one with
// version 2, one per controller with version 1.
type cgroup struct {
	path string // below a hierarchy: "rigmesh-<prefix>/<task>"
	root string // of the hierarchies; empty: cgroupRoot
}

func (r *Runtime) cgroup(id string) cgroup { return cgroup{path: filepath.Join(r.namespace, id)} }

// hierarchies are the roots of all cgroup hierarchies of this host.
func hierarchies() []string { return hierarchiesIn(cgroupRoot) }

func hierarchiesIn(root string) []string {
	if unified(root) {
		return []string{root}
	}
	entries, _ := os.ReadDir(root)
	var roots []string
	for _, e := range entries {
		if e.IsDir() { // the links that name a controller twice are not
			roots = append(roots, filepath.Join(root, e.Name()))
		}
	}
	return roots
}

// unified says whether this is version 2.
func unified(root string) bool {
	_, err := os.Stat(filepath.Join(root, "cgroup.controllers"))
	return err == nil
}

// throttles says whether the kernel can bound what is read and written.
func throttles(root string) bool {
	if b, err := os.ReadFile(filepath.Join(root, "cgroup.controllers")); err == nil {
		return slices.Contains(strings.Fields(string(b)), "io")
	}
	_, err := os.Stat(filepath.Join(root, "blkio", "blkio.throttle.read_bps_device"))
	return err == nil
}

// dir is where a controller's files are.
func (g cgroup) dir(controller string) string {
	root := cmp.Or(g.root, cgroupRoot)
	if unified(root) {
		return filepath.Join(root, g.path)
	}
	return filepath.Join(root, controller, g.path)
}

func (g cgroup) read(controller, file string) string {
	b, _ := os.ReadFile(filepath.Join(g.dir(controller), file))
	return strings.TrimSpace(string(b))
}

func (g cgroup) cpuTime() time.Duration {
	if ns, err := strconv.ParseInt(g.read("cpuacct", "cpuacct.usage"), 10, 64); err == nil {
		return time.Duration(ns)
	}
	return time.Duration(field(g.read("", "cpu.stat"), "usage_usec")) * time.Microsecond
}

func (g cgroup) memory() uint64 {
	for _, file := range []string{"memory.current", "memory.usage_in_bytes"} {
		if n, err := strconv.ParseUint(g.read("memory", file), 10, 64); err == nil {
			return n
		}
	}
	return 0
}

func (g cgroup) oomKills() int64 {
	return max(field(g.read("memory", "memory.events"), "oom_kill"), field(g.read("memory", "memory.oom_control"), "oom_kill"))
}

// field is the number after a name in a file of "name number" lines.
func field(text, name string) int64 {
	for line := range strings.Lines(text) {
		if n, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok && n == name {
			count, _ := strconv.ParseInt(v, 10, 64)
			return count
		}
	}
	return 0
}

// destroy kills what is in the control group and removes it.
func (g cgroup) destroy(ctx context.Context) error {
	var problems []error
	for _, root := range hierarchiesIn(cmp.Or(g.root, cgroupRoot)) {
		if err := destroy(ctx, filepath.Join(root, g.path)); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

func destroy(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for attempt := 1; ; attempt++ { // a killed process takes a moment to leave
		killAll(dir)
		err := removeTree(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if attempt == 100 || pause(ctx, 10*time.Millisecond) != nil {
			return err
		}
	}
}

// killAll sends SIGKILL to all in a control group and those below, frozen or not.
func killAll(dir string) {
	_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0)
	for _, pid := range processesIn(dir) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// processesIn are those in a control group and in those below it.
func processesIn(dir string) (pids []int) {
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil
		}
		b, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for line := range strings.Lines(string(b)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 1 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// removeTree removes a control group and those below it, deepest first. Their files
// cannot be removed and go with them.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return unix.Rmdir(dir)
}
