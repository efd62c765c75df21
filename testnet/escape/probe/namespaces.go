//go:build linux

package main

import (
	"os"
	goruntime "runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

var namespaceAttempts = map[string]func() error{
	"unshare-users":   func() error { return users(unshare(unix.CLONE_NEWUSER)) },
	"unshare-mounts":  func() error { return unshare(unix.CLONE_NEWNS) },
	"unshare-network": func() error { return unshare(unix.CLONE_NEWNET) },
	"unshare-cgroups": func() error { return unshare(unix.CLONE_NEWCGROUP) },
	"clone-users":     func() error { return users(cloneUsers()) },
	"clone3-users":    func() error { return users(clone3Users()) },
	"set-host-name":   setHostName,
	"enter-namespace": enterOwn,
}

// users allows for hosts that deny user namespaces to everybody.
func users(err error) error {
	for file, deny := range map[string]string{
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
		"/proc/sys/kernel/unprivileged_userns_clone":             "0",
		"/proc/sys/user/max_user_namespaces":                     "0",
	} {
		if b, rerr := os.ReadFile(file); rerr == nil && strings.TrimSpace(string(b)) == deny {
			return errAbsent
		}
	}
	return err
}

// unshare happens on one thread: a namespace of users is not for a process of several.
func unshare(kind uintptr) error {
	goruntime.LockOSThread()
	if kind != unix.CLONE_NEWUSER {
		return unix.Unshare(int(kind))
	}
	return forked(func() uintptr {
		_, _, errno := syscall.RawSyscall(syscall.SYS_UNSHARE, kind, 0, 0)
		return uintptr(errno)
	})
}

func cloneUsers() error {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	return parent(pid, errno)
}

func clone3Users() error {
	args := [8]uint64{0: unix.CLONE_NEWUSER, 4: uint64(unix.SIGCHLD)}
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, pointer(&args), 64, 0)
	return parent(pid, errno)
}

// parent ends the child of a fork at once and gives the parent its error.
func parent(pid uintptr, errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return nil
}

// forked calls f in a child of one thread, which is all a fork of a Go program has, and
// gives the error it exits with.
func forked(f func() uintptr) error {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, f(), 0, 0)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(int(pid), &status, 0, nil); err != nil {
		return err
	}
	if code := status.ExitStatus(); code != 0 {
		return syscall.Errno(code)
	}
	return nil
}

// setHostName sets it to what it is.
func setHostName() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	return unix.Sethostname([]byte(name))
}

func enterOwn() error {
	goruntime.LockOSThread()
	fd, err := unix.Open("/proc/self/ns/uts", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Setns(fd, unix.CLONE_NEWUTS)
}
