//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

var initAttempts = map[string]func() error{
	"signal-init":        func() error { return unix.Kill(1, 0) },
	"trace-init":         func() error { return trace(1) },
	"read-init-memory":   func() error { return open("/proc/1/mem", unix.O_RDONLY) },
	"read-init-by-call":  func() error { return readMemory(1) },
	"read-init-environ":  func() error { return open("/proc/1/environ", unix.O_RDONLY) },
	"list-init-files":    func() error { _, err := os.ReadDir("/proc/1/fd"); return err },
	"take-init-file":     func() error { return takeFile(1) },
	"enter-by-init-root": func() error { _, err := os.ReadDir("/proc/1/root"); return err },
	"open-init-space":    func() error { return open("/proc/1/ns/mnt", unix.O_RDONLY) },
	"limit-init":         limitInit,
	"read-order":         func() error { return open("/.rigmesh/rec/job.json", unix.O_RDONLY) },
	"forge-record":       func() error { return os.WriteFile("/.rigmesh/rec/exit.json", []byte(`{"code":0}`), 0o600) },
	"delete-record":      func() error { return os.Remove("/.rigmesh/rec/started") },
	"truncate-output":    func() error { return os.Truncate("/.rigmesh/rec/stderr", 0) },
	"open-record-folder": func() error { return openRecord() },
}

func openRecord() error {
	_, err := os.ReadDir("/.rigmesh/rec")
	return err
}

// trace attaches to a process and lets go of it. PTRACE_SEIZE does not stop it.
func trace(pid int) error {
	if b, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && strings.TrimSpace(string(b)) != "0" {
		return fmt.Errorf("yama denies it to all: %w", errAbsent)
	}
	const seize = 0x4206
	return sys(unix.SYS_PTRACE, seize, uintptr(pid))
}

// readMemory reads the first bytes of a process's stack, which is always there.
func readMemory(pid int) error {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(maps)) {
		if !strings.Contains(line, "[stack]") {
			continue
		}
		_, end, _ := strings.Cut(strings.Fields(line)[0], "-")
		top, err := strconv.ParseUint(end, 16, 64)
		if err != nil {
			return err
		}
		b := make([]byte, 8)
		local := []unix.Iovec{{Base: &b[0], Len: 8}}
		remote := []unix.RemoteIovec{{Base: uintptr(top - 16), Len: 8}}
		_, err = unix.ProcessVMReadv(pid, local, remote, 0)
		return err
	}
	return io.ErrUnexpectedEOF
}

// takeFile copies a descriptor of another process.
func takeFile(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	_, err = unix.PidfdGetfd(fd, 0, 0)
	if errors.Is(err, unix.EBADF) {
		return nil // it was allowed to look
	}
	return err
}

// limitInit sets a limit of the init to what it is.
func limitInit() error {
	var limit unix.Rlimit
	if err := unix.Prlimit(os.Getpid(), unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		return err
	}
	return sys(unix.SYS_PRLIMIT64, 1, unix.RLIMIT_NOFILE, 0, uintptr(unsafe.Pointer(&limit)))
}
