//go:build linux

package main

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

var mountAttempts = map[string]func() error{
	"mount-tmpfs":        func() error { return mountOn("tmpfs", "tmpfs", 0, "") },
	"mount-proc":         func() error { return mountOn("proc", "proc", 0, "") },
	"mount-bind":         func() error { return mountOn("/etc", "", unix.MS_BIND, "") },
	"mount-overlay":      mountOverlay,
	"mount-by-fsopen":    fsopen,
	"mount-clone-tree":   openTree,
	"remount-input-rw":   func() error { return remount("/input") },
	"remount-init-rw":    func() error { return remount("/.rigmesh/init") },
	"set-mount-writable": setMountWritable,
	"unmount-mask":       func() error { return unix.Unmount("/proc/keys", unix.MNT_DETACH) },
	"unmount-record":     func() error { return unix.Unmount("/.rigmesh/rec", unix.MNT_DETACH) },
	"make-mounts-shared": func() error { return unix.Mount("", "/tmp", "", unix.MS_SHARED, "") },
	"pivot-root":         pivotRoot,
	"chroot":             chroot,
	"write-input":        func() error { return create("/input/new") },
	"tamper-init":        func() error { return os.Chmod("/.rigmesh/init", 0o755) },
}

// fresh is an empty folder on a file system of the task.
func fresh() (string, error) { return os.MkdirTemp("/tmp", "attempt-*") }

func mountOn(source, kind string, flags uintptr, data string) error {
	dir, err := fresh()
	if err != nil {
		return err
	}
	return unix.Mount(source, dir, kind, flags, data)
}

func mountOverlay() error {
	dir, err := fresh()
	if err != nil {
		return err
	}
	for _, name := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	return mountOn("overlay", "overlay", 0, "lowerdir=/etc,upperdir="+dir+"/upper,workdir="+dir+"/work")
}

func fsopen() error {
	_, err := unix.Fsopen("tmpfs", 0)
	return err
}

func openTree() error {
	_, err := unix.OpenTree(unix.AT_FDCWD, "/etc", unix.OPEN_TREE_CLONE)
	return err
}

func remount(path string) error {
	return unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NODEV, "")
}

func setMountWritable() error {
	return unix.MountSetattr(unix.AT_FDCWD, "/input", 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
}

// pivotRoot does it in a mount namespace of its own, or the attempts after it had
// another root.
func pivotRoot() error {
	goruntime.LockOSThread()
	dir, err := fresh()
	if err != nil {
		return err
	}
	old := filepath.Join(dir, "old")
	return all(
		func() error { return unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS) },
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("tmpfs", dir, "tmpfs", 0, "") },
		func() error { return os.Mkdir(old, 0o755) },
		func() error { return unix.PivotRoot(dir, old) },
	)
}

func chroot() error {
	dir, err := fresh()
	if err != nil {
		return err
	}
	return unix.Chroot(dir)
}

func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// kept holds what the kernel is given the address of: on the heap, where it stays.
var kept []any

func pointer[T any](v *T) uintptr {
	kept = append(kept, v)
	return uintptr(unsafe.Pointer(v))
}
