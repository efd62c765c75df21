//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const cgroups = "/sys/fs/cgroup"

var cgroupAttempts = map[string]func() error{
	"cgroup-release-agent": releaseAgent,
	"cgroup-raise-memory":  raiseMemory,
	"cgroup-new-group":     newGroup,
	"cgroup-allow-devices": allowDevices,
	"cgroup-mount":         func() error { _, err := mountGroups(); return err },
}

// mountGroups mounts the control groups anew, where everything is writable.
func mountGroups() (string, error) {
	dir, err := fresh()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(cgroups + "/cgroup.controllers"); err == nil {
		return dir, unix.Mount("cgroup", dir, "cgroup2", 0, "")
	}
	return dir, unix.Mount("cgroup", dir, "cgroup", 0, "memory")
}

// releaseAgent writes what is there already to the file that names a program of the
// host to be run by its kernel.
func releaseAgent() error {
	if _, err := os.Stat(cgroups + "/cgroup.controllers"); err == nil {
		return errAbsent // version 2 has none
	}
	dir, err := mountGroups()
	if err != nil {
		return err
	}
	return rewriteHere(filepath.Join(dir, "release_agent"))
}

func rewriteHere(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0)
}

func raiseMemory() error {
	err := rewriteHere(cgroups + "/memory/memory.limit_in_bytes")
	if errors.Is(err, unix.ENOENT) {
		err = rewriteHere(cgroups + "/memory.max")
	}
	return err
}

func newGroup() error {
	dir := cgroups
	if _, err := os.Stat(cgroups + "/pids"); err == nil {
		dir = cgroups + "/pids"
	}
	dir = filepath.Join(dir, "attempt-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.Remove(dir)
}

// allowDevices allows /dev/null, which is allowed.
func allowDevices() error {
	if _, err := os.Stat(cgroups + "/devices"); err != nil {
		return errAbsent // version 2 has none
	}
	return os.WriteFile(cgroups+"/devices/devices.allow", []byte("c 1:3 rwm"), 0)
}
