//go:build linux

package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

var deviceAttempts = map[string]func() error{
	"mknod-disk":        func() error { _, err := node(unix.S_IFBLK, disk()); return err },
	"mknod-memory":      func() error { _, err := node(unix.S_IFCHR, unix.Mkdev(1, 1)); return err },
	"open-disk":         func() error { return openNode(unix.S_IFBLK, disk()) },
	"open-kernel-log":   func() error { return openNode(unix.S_IFCHR, unix.Mkdev(1, 11)) },
	"open-fuse":         func() error { return openNode(unix.S_IFCHR, unix.Mkdev(10, 229)) },
	"image-device-node": func() error { return openThere("/evil/disk", unix.O_RDONLY) },
}

// disk is a disk of the host: the image has it too.
func disk() uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/evil/disk", &st); err == nil {
		return st.Rdev
	}
	return unix.Mkdev(7, 0)
}

func node(kind uint32, number uint64) (string, error) {
	dir, err := os.MkdirTemp("/root", "attempt-*") // not on a mount that is nodev
	if err != nil {
		dir, err = os.MkdirTemp("/world", "attempt-*")
	}
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "node")
	return path, unix.Mknod(path, kind|0o666, int(number))
}

func openNode(kind uint32, number uint64) error {
	path, err := node(kind, number)
	if err != nil {
		return err
	}
	return open(path, unix.O_RDONLY)
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
