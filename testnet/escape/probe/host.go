//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	goruntime "runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// A process of the host and what its test listens on are named by the environment.
// Folders of the host are under /host in a task whose own root is switched off.
var hostAttempts = map[string]func() error{
	"signal-host-process":   func() error { return onHost(func(pid int) error { return unix.Kill(pid, 0) }) },
	"trace-host-process":    func() error { return onHost(trace) },
	"read-host-process":     func() error { return onHost(readMemory) },
	"read-host-environ":     func() error { return openOfHost("environ") },
	"read-host-by-its-root": func() error { return openOfHost("root/etc/shadow") },
	"enter-host-mounts":     func() error { return enterHost("mnt", unix.CLONE_NEWNS) },
	"enter-host-network":    func() error { return enterHost("net", unix.CLONE_NEWNET) },
	"read-host-shadow":      func() error { return open("/host/etc/shadow", unix.O_RDONLY) },
	"read-host-secret":      func() error { return open("/host/node/secret", unix.O_RDONLY) },
	"write-host-file":       func() error { return open("/host/node/secret", unix.O_WRONLY) },
	"connect-containerd":    func() error { return dial("unix", "/host/state/c.sock") },
	"connect-control":       func() error { return dial("unix", "/host/node/control.sock") },
	"symlink-to-secret":     func() error { return open("/evil/secret", unix.O_RDONLY) },
	"host-shared-memory":    hostSharedMemory,
}

func hostPID() (int, error) { return strconv.Atoi(os.Getenv("ESCAPE_HOST_PID")) }

func onHost(f func(pid int) error) error {
	pid, err := hostPID()
	if err != nil {
		return err
	}
	return f(pid)
}

func openOfHost(name string) error {
	pid, err := hostPID()
	if err != nil {
		return err
	}
	return open(fmt.Sprintf("/proc/%d/%s", pid, name), unix.O_RDONLY)
}

func enterHost(name string, kind int) error {
	goruntime.LockOSThread()
	pid, err := hostPID()
	if err != nil {
		return err
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // threads that share a working folder cannot change mounts
		return err
	}
	return unix.Setns(fd, kind)
}

func dial(network, address string) error {
	if address == "" {
		return errAbsent
	}
	c, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	return c.Close()
}

// hostSharedMemory attaches a System V segment of the host that anybody may read.
func hostSharedMemory() error {
	key, err := strconv.Atoi(os.Getenv("ESCAPE_SHM"))
	if err != nil {
		return err
	}
	id, err := sysValue(unix.SYS_SHMGET, uintptr(key), 0, 0)
	if err != nil {
		return err
	}
	return sys(unix.SYS_SHMAT, id, 0, unix.SHM_RDONLY)
}
