//go:build linux

package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
)

// layersLabel on a task's container holds on to the image's layers for it.
const layersLabel = "containerd.io/gc.ref.snapshot." + snapshotter

// viewOf names the view through which containerd says where layers are. All tasks of an image
// share it: making one costs ten syncs.
func viewOf(chain string) string { return "layers-" + chain }

// layers says where an image's layers are, the topmost first.
func layers(ctx context.Context, c *client.Client, chain string) ([]string, error) {
	service, view := c.SnapshotService(snapshotter), viewOf(chain)
	mounts, err := service.Mounts(ctx, view)
	if errdefs.IsNotFound(err) {
		// A root for containerd's collector: nothing of containerd's refers to it.
		kept := snapshots.WithLabels(map[string]string{"containerd.io/gc.root": time.Now().UTC().Format(time.RFC3339)})
		mounts, err = service.View(ctx, view, chain, kept)
	}
	if errdefs.IsAlreadyExists(err) { // another task was faster
		mounts, err = service.Mounts(ctx, view)
	}
	if errdefs.IsNotFound(err) {
		return nil, unusable("its layers are not here")
	}
	if err != nil {
		return nil, err
	}
	return lowerDirs(mounts)
}

// makeRoot makes a task's disk and its root folder. What takes long goes on at once: the disk,
// the layers, and the users, for which a process has to be started.
func (r *Runtime) makeRoot(ctx context.Context, c *client.Client, l *launch) error {
	var below []string
	var users *os.File
	making, ctx := errgroup.WithContext(ctx)
	making.Go(func() error { return r.openDisk(ctx, l.spec.ID, l.spec.Limits.DiskBytes) })
	making.Go(func() (err error) { below, err = layers(ctx, c, l.chain); return err })
	making.Go(func() (err error) { users, err = namespaceOf(l.users.mapping(), l.users.mapping()); return err })
	err := making.Wait()
	defer users.Close() // nil is no harm
	if err != nil {
		return err
	}
	if l.disk, err = deviceOf(r.paths.mount(l.spec.ID, diskMount)); err != nil {
		return err
	}
	return r.mountRoot(l, below, users)
}

// lowerDirs are the folders that an overlay, or a single layer, is made of.
func lowerDirs(mounts []mount.Mount) ([]string, error) {
	if len(mounts) != 1 {
		return nil, fmt.Errorf("%d mounts for one image", len(mounts))
	}
	if mounts[0].Type == "bind" {
		return []string{mounts[0].Source}, nil
	}
	for _, o := range mounts[0].Options {
		if dirs, ok := strings.CutPrefix(o, "lowerdir="); ok {
			return strings.Split(dirs, ":"), nil
		}
	}
	return nil, fmt.Errorf("no layers in mount %v", mounts[0])
}

// mountRoot makes a task's root folder: the image's layers, seen with the task's users,
// under a writable one on the task's own disk.
func (r *Runtime) mountRoot(l *launch, layers []string, users *os.File) error {
	if isMount(r.paths.mount(l.spec.ID, rootMount)) {
		return nil
	}
	above := filepath.Dir(filepath.Dir(layers[0])) // of all layers
	seen := r.paths.mount(l.spec.ID, "layers")
	if err := idMap(above, seen, users); err != nil {
		return err
	}
	for i, dir := range layers {
		below, ok := strings.CutPrefix(dir, above+"/")
		if !ok {
			return fmt.Errorf("layer %s is not below %s", dir, above)
		}
		layers[i] = filepath.Join(seen, below)
	}
	return errors.Join(r.overlay(l.spec.ID, rootMount, layers, l.flags...), unix.Unmount(seen, unix.MNT_DETACH)) // the overlay keeps its own
}

// overlay mounts folders with a writable one on the task's disk on top, which begins with
// the owner and mode of the first.
func (r *Runtime) overlay(id, name string, lower []string, flags ...string) error {
	upper := filepath.Join(r.paths.mount(id, diskMount), name, "upper")
	work := filepath.Join(filepath.Dir(upper), "work")
	at := r.paths.mount(id, name)
	if err := errors.Join(likeFolder(upper, lower[0]), os.MkdirAll(work, 0o700), os.MkdirAll(at, 0o711)); err != nil {
		return err
	}
	m := mount.Mount{Type: "overlay", Source: "overlay", Options: append(flags, "index=off",
		"lowerdir="+strings.Join(lower, ":"), "upperdir="+upper, "workdir="+work)}
	if err := m.Mount(at); err != nil {
		return fmt.Errorf("mount %s: %w", name, err)
	}
	return nil
}

// likeFolder makes a folder with the owner and mode of another.
func likeFolder(dir, like string) error {
	fi, err := os.Stat(like)
	if err != nil {
		return err
	}
	owner := fi.Sys().(*syscall.Stat_t)
	return errors.Join(os.MkdirAll(dir, 0o700), os.Chown(dir, int(owner.Uid), int(owner.Gid)), os.Chmod(dir, fi.Mode()))
}

// mountName is the name of a spec's mount among the task's.
func mountName(kind, target string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(target)))
	return kind + "-" + hex.EncodeToString(sum[:8])
}

// mountSource prepares one mount of a spec and says where it is on the host.
func (r *Runtime) mountSource(l *launch, m runtime.Mount) (string, error) {
	id := l.spec.ID
	if m.Source == "" {
		dir := r.folder(id, m.Target)
		user, group := int(l.users.First+l.job.UID), int(l.users.First+l.job.GID)
		return dir, errors.Join(os.MkdirAll(dir, 0o755), os.Chown(dir, user, group))
	}
	fi, err := os.Stat(m.Source)
	if err != nil {
		return "", fmt.Errorf("mount: %w", err)
	}
	owner := fi.Sys().(*syscall.Stat_t)
	seen := r.paths.mount(id, mountName("source", m.Target))
	if !isMount(seen) {
		users, err := namespaceOf(l.users.one(owner.Uid, l.job.UID), l.users.one(owner.Gid, l.job.GID))
		if err != nil {
			return "", err
		}
		defer users.Close()
		if err := idMap(m.Source, seen, users); err != nil {
			return "", err
		}
	}
	if !m.Private || m.ReadOnly {
		return filepath.Join(seen, m.File), nil
	}
	name := mountName("private", m.Target)
	if !isMount(r.paths.mount(id, name)) {
		err = r.overlay(id, name, []string{seen}, "nodev")
	}
	return filepath.Join(r.paths.mount(id, name), m.File), err
}

// folder is a folder of the task's own, on its disk.
func (r *Runtime) folder(id, target string) string {
	return filepath.Join(r.paths.mount(id, diskMount), mountName("folder", target))
}

// Folder is where on the host a folder of the task's own lies.
func (r *Runtime) Folder(ctx context.Context, id, target string) (string, error) {
	defer r.ids.lock(id)()
	_, _, err := r.ended(id)
	if err == nil {
		if _, err = os.Lstat(r.paths.image(id)); err == nil {
			err = r.openDisk(ctx, id, 0) // the host was restarted, if it is not mounted
		}
	}
	dir := r.folder(id, target)
	if err == nil {
		_, err = os.Lstat(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = runtime.ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("folder %s of task %s: %w", target, id, err)
	}
	return dir, nil
}

// namespaceOf is a user namespace with these users.
func namespaceOf(uids, gids []specs.LinuxIDMapping) (*os.File, error) {
	users, err := mount.GetUsernsFD(mapText(uids), mapText(gids))
	if err != nil {
		return nil, fmt.Errorf("map users: %w", err)
	}
	return users, nil
}

// idMap shows a folder at another place with its owners mapped. Our own mounts, and not
// runc's, so that any runc will do.
func idMap(source, at string, users *os.File) error {
	if err := os.MkdirAll(at, 0o711); err != nil {
		return err
	}
	if err := mount.IDMapMount(source, at, int(users.Fd())); err != nil {
		return fmt.Errorf("show %s to the task: %w", source, err)
	}
	return nil
}

func mapText(ids []specs.LinuxIDMapping) string {
	return fmt.Sprintf("%d:%d:%d", ids[0].ContainerID, ids[0].HostID, ids[0].Size)
}
