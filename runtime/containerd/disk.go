//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// A task's disk is an ext4 file system of its own in a sparse file, attached through a
// loop device: its size bounds bytes and files, whatever the host's file system can do.
const (
	defaultDiskBytes = 8 << 30 // at most
	smallDiskBytes   = 256 << 20
	leastDiskBytes   = 16 << 20
	bytesPerInode    = 16 << 10
	diskStep         = 16 << 20 // sizes are multiples of it, so that few are ever made anew
	keptDisks        = 8        // empty file systems to copy
)

// diskSize is the size of the file for so many bytes of content. Who asks for none gets
// an eighth of the room there is, in a power of two and within reason.
func diskSize(bytes uint64, room int64) int64 {
	if bytes == 0 {
		bytes = defaultDiskBytes
		for bytes > smallDiskBytes && int64(bytes) > room/8 {
			bytes /= 2
		}
	}
	b := max(bytes, leastDiskBytes)
	b += b / 32 // inodes and bitmaps
	return int64((b + diskStep - 1) / diskStep * diskStep)
}

// openDisk makes a task's disk, unless it is there already, and mounts it.
func (r *Runtime) openDisk(ctx context.Context, id string, bytes uint64) error {
	at, image := r.paths.mount(id, diskMount), r.paths.image(id)
	if isMount(at) {
		return nil
	}
	if _, err := os.Lstat(image); errors.Is(err, fs.ErrNotExist) {
		if err := r.makeDisk(ctx, image, bytes); err != nil {
			return fmt.Errorf("make the task's disk: %w", err)
		}
	}
	if err := os.MkdirAll(at, 0o711); err != nil {
		return err
	}
	// discard gives blocks back to the host; without noinit_itable the kernel would write
	// out empty inode tables in the background. A barrier has the host write the file out, also at
	// the unmount before it is deleted: nothing of it is worth that, for after a crash of the host
	// no task goes on.
	m := mount.Mount{Type: "ext4", Source: image, Options: []string{"loop", "nosuid", "nodev", "discard", "noinit_itable", "nobarrier", "errors=remount-ro"}}
	if err := m.Mount(at); err != nil {
		return fmt.Errorf("mount the task's disk: %w", err)
	}
	return nil
}

// makeDisk copies an empty file system of that size; only the first of a size is made.
func (r *Runtime) makeDisk(ctx context.Context, image string, bytes uint64) error {
	defer r.blobs.lock("disks")()
	size, err := r.roomForDisk(bytes)
	if err != nil {
		return err
	}
	template := filepath.Join(r.paths.disks, fmt.Sprintf("%d.img", size))
	if _, err := os.Lstat(template); errors.Is(err, fs.ErrNotExist) {
		if err := r.makeTemplate(ctx, template, size); err != nil {
			return err
		}
	}
	partial := image + ".partial"
	if err := copySparse(partial, template); err != nil {
		return err
	}
	return os.Rename(partial, image)
}

// roomForDisk gives the size of a disk, and refuses one that could not be filled because
// of what other tasks were promised.
func (r *Runtime) roomForDisk(bytes uint64) (size int64, err error) {
	free, err := runtime.RoomUnder(r.cfg.DataDir)
	if err != nil {
		return 0, err
	}
	promised := r.promised()
	if size = diskSize(bytes, free.Bytes-promised); free.Bytes-promised < size {
		err = fmt.Errorf("%w: a disk of %d MiB where %d MiB are free and %d MiB of them promised to other tasks", runtime.ErrNoSpace, size>>20, free.Bytes>>20, promised>>20)
	}
	return size, err
}

// Room is what a further task may have: what is free and not promised to others.
func (r *Runtime) Room() (runtime.Room, error) {
	room, err := runtime.RoomUnder(r.cfg.DataDir)
	room.Bytes = max(0, room.Bytes-r.promised())
	return room, err
}

// promised is what the disks of tasks that run may still grow by.
func (r *Runtime) promised() (bytes int64) {
	images, _ := filepath.Glob(r.paths.image("*"))
	for _, image := range images {
		var st unix.Stat_t
		if unix.Stat(image, &st) == nil && !record.Marked(filepath.Dir(image), finalFile) {
			bytes += max(0, st.Size-st.Blocks*512)
		}
	}
	return bytes
}

// makeTemplate makes an empty file system. It has no journal: nothing of a task is
// taken up again after a crash of the host.
func (r *Runtime) makeTemplate(ctx context.Context, path string, size int64) error {
	if err := os.MkdirAll(r.paths.disks, 0o700); err != nil {
		return err
	}
	if old, _ := filepath.Glob(filepath.Join(r.paths.disks, "*.img")); len(old) >= keptDisks {
		_ = os.Remove(old[0])
	}
	partial := path + ".partial"
	if err := os.WriteFile(partial, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(partial, size); err != nil {
		return err
	}
	program, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		program = "/usr/sbin/mkfs.ext4" // not in everybody's PATH
	}
	mkfs := exec.CommandContext(ctx, program, "-q", "-F", "-m", "0", "-i", fmt.Sprint(bytesPerInode),
		"-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", partial)
	if out, err := mkfs.CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4 (Debian package e2fsprogs): %w: %s", err, strings.TrimSpace(string(out)))
	}
	return os.Rename(partial, path)
}

// copySparse copies a file and keeps its holes.
func copySparse(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(copyData(out, in), out.Close())
}

func copyData(out, in *os.File) error {
	fi, err := in.Stat()
	if err != nil {
		return err
	}
	for at := int64(0); ; {
		data, err := in.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // a hole up to the end
			return out.Truncate(fi.Size())
		}
		if err != nil {
			return err
		}
		hole, err := in.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := out.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(out, io.NewSectionReader(in, data, hole-data)); err != nil {
			return err
		}
		at = hole
	}
}

// isMount says whether something is mounted right there.
func isMount(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// deviceOf is the device that a mounted file system is on.
func deviceOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("the task's disk: %w", err)
	}
	return st.Dev, nil
}

// diskFull says whether a task's disk has no room left, or no file.
func (r *Runtime) diskFull(id string) bool {
	at := r.paths.mount(id, diskMount)
	var st unix.Statfs_t
	if !isMount(at) || unix.Statfs(at, &st) != nil {
		return false
	}
	const bytes, files = 1 << 20, 4
	return st.Bavail*uint64(st.Bsize) < min(bytes, st.Blocks*uint64(st.Bsize)/64) || st.Ffree < files
}

// unmountAll lets go of all that is mounted for a task. What its disk holds stays.
func (r *Runtime) unmountAll(id string) error {
	dir := r.paths.mounts(id)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := mount.UnmountRecursive(dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err) // never delete through a mount
	}
	return os.RemoveAll(dir)
}
