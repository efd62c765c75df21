//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime/containerd/daemon"
)

// Sweep removes what a killed containerd, node or host left behind: shims, sockets,
// mounts, control groups, users. It touches only what bears our namespace and lies in
// our folders, and no task that containerd knows.
func (r *Runtime) Sweep(ctx context.Context) error {
	r.sweeping.Lock()
	defer r.sweeping.Unlock()
	live, err := r.liveTasks(ctx)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	var problems []error
	for _, id := range r.traces() {
		if !live[id] {
			problems = append(problems, r.sweepTask(ctx, id))
		}
	}
	problems = append(problems, r.sweepSockets(), r.sweepMounts(), r.sweepViews(ctx), r.reconnect(ctx, live), r.sweepExecs(ctx, live), r.releaseOrphanUsers())
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

// liveTasks are the tasks that containerd knows. Containers whose task folder is gone
// go too, and so do ended tasks whose exit is settled.
func (r *Runtime) liveTasks(ctx context.Context) (map[string]bool, error) {
	live := make(map[string]bool)
	err := r.do(ctx, func(ctx context.Context, c *client.Client) error {
		clear(live)
		containers, err := c.Containers(ctx)
		if err != nil {
			return err
		}
		for _, container := range containers {
			id := container.ID()
			if r.gone(id) {
				if err := r.clear(ctx, c, id); err != nil {
					return err
				}
				continue
			}
			task, err := findTask(ctx, c, id)
			if err != nil {
				return err
			}
			if task == nil {
				continue
			}
			if _, ended, _ := r.ended(id); !ended || !r.letGo(ctx, c, id) {
				live[id] = true
			}
		}
		return nil
	})
	return live, err
}

// letGo ends what containerd holds of a settled task, unless whoever settled it does so right
// now: that is waited for. False when something stays.
func (r *Runtime) letGo(ctx context.Context, c *client.Client, id string) bool {
	defer r.ids.lock(id)()
	task, err := findTask(ctx, c, id)
	if task == nil || err != nil {
		return err == nil
	}
	_, err = task.Delete(ctx, client.WithProcessKill)
	return err == nil || errdefs.IsNotFound(err)
}

// traces are the IDs of all tasks that have left anything with the kernel or in the
// state folder.
func (r *Runtime) traces() []string {
	seen := make(map[string]bool)
	for _, p := range r.shims("") {
		seen[p.task] = true
	}
	dirs := []string{r.paths.bundles(r.namespace), filepath.Join(r.paths.runc(), r.namespace)}
	for _, root := range hierarchies() {
		dirs = append(dirs, filepath.Join(root, r.namespace))
	}
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.IsDir() {
				seen[e.Name()] = true
			}
		}
	}
	var ids []string
	for id := range seen {
		ids = append(ids, id)
	}
	return ids
}

// sweepTask removes what the kernel and the state folder hold of one task that
// containerd does not know.
func (r *Runtime) sweepTask(ctx context.Context, id string) error {
	bundle := filepath.Join(r.paths.bundles(r.namespace), id)
	if _, err := os.Lstat(bundle); err == nil { // it goes after the shim
		for _, p := range r.shims(id) {
			_ = unix.Kill(p.pid, unix.SIGKILL)
		}
	}
	problems := []error{r.cgroup(id).destroy(ctx)}
	if err := mount.UnmountRecursive(filepath.Join(bundle, "rootfs"), unix.MNT_DETACH); err != nil && !errors.Is(err, fs.ErrNotExist) {
		problems = append(problems, err)
		return errors.Join(problems...) // never delete through a mount
	}
	for _, dir := range []string{bundle, filepath.Join(r.paths.runc(), r.namespace, id)} {
		problems = append(problems, os.RemoveAll(dir))
	}
	return errors.Join(problems...)
}

type shim struct {
	pid  int
	task string
}

// shims are the running shims of our daemon, of one task or, with no ID, of all.
func (r *Runtime) shims(id string) []shim {
	entries, _ := os.ReadDir("/proc")
	var found []shim
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if err != nil || !r.isShim(exe) {
			continue
		}
		args := flags(filepath.Join("/proc", e.Name(), "cmdline"))
		if args["-namespace"] != r.namespace || args["-address"] != r.paths.socket {
			continue
		}
		if task := args["-id"]; task != "" && (id == "" || id == task) {
			found = append(found, shim{pid, task})
		}
	}
	return found
}

// isShim says whether a program is a shim of the containerd that is used.
func (r *Runtime) isShim(exe string) bool {
	if r.cfg.Socket != "" {
		return strings.HasPrefix(filepath.Base(exe), "containerd-shim-runc-v2")
	}
	return strings.HasPrefix(exe, filepath.Join(r.paths.root, "bin")+"/")
}

// flags reads "-name value" pairs from a cmdline file of /proc.
func flags(path string) map[string]string {
	b, _ := os.ReadFile(path)
	words := strings.Split(string(b), "\x00")
	values := make(map[string]string)
	for i := 0; i+1 < len(words); i++ {
		if strings.HasPrefix(words[i], "-") {
			values[words[i]] = words[i+1]
		}
	}
	return values
}

// sweepMounts lets go of what is mounted for tasks that are gone.
func (r *Runtime) sweepMounts() error {
	entries, err := os.ReadDir(filepath.Join(r.paths.state, mountsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if r.gone(e.Name()) {
			err = errors.Join(err, r.unmountAll(e.Name()))
		}
	}
	return err
}

// sweepViews lets go of the layers that were held for tasks that are gone.
func (r *Runtime) sweepViews(ctx context.Context) error {
	return r.do(ctx, func(ctx context.Context, c *client.Client) error {
		service := c.SnapshotService(snapshotter)
		var lost []string
		err := service.Walk(ctx, func(_ context.Context, i snapshots.Info) error {
			if i.Kind == snapshots.KindView && r.gone(i.Name) {
				lost = append(lost, i.Name)
			}
			return nil
		})
		for _, name := range lost {
			err = errors.Join(err, service.Remove(ctx, name))
		}
		return err
	})
}

// gone says whether there is no such task any more.
func (r *Runtime) gone(id string) bool {
	_, err := os.Lstat(r.paths.task(id))
	return errors.Is(err, fs.ErrNotExist)
}

// sweepSockets removes the sockets of shims that nobody listens on.
func (r *Runtime) sweepSockets() error {
	dir := daemon.ShimSockets(r.paths.state)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		conn, derr := net.DialTimeout("unix", path, time.Second)
		if derr == nil {
			_ = conn.Close()
		} else if errors.Is(derr, unix.ECONNREFUSED) {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}
