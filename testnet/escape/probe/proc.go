//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

var procAttempts = map[string]func() error{
	"write-core-pattern":    func() error { return rewrite("/proc/sys/kernel/core_pattern") },
	"write-panic-on-oom":    func() error { return rewrite("/proc/sys/vm/panic_on_oom") },
	"write-threads-max":     func() error { return rewrite("/proc/sys/kernel/threads-max") },
	"write-modprobe-path":   func() error { return rewrite("/proc/sys/kernel/modprobe") },
	"write-net-sysctl":      func() error { return rewrite("/proc/sys/net/ipv4/tcp_fin_timeout") },
	"open-sysrq-trigger":    func() error { return openThere("/proc/sysrq-trigger", unix.O_WRONLY) },
	"write-irq-affinity":    func() error { return openThere("/proc/irq/default_smp_affinity", unix.O_WRONLY) },
	"read-kernel-memory":    func() error { return readThere("/proc/kcore") },
	"read-timer-list":       func() error { return readThere("/proc/timer_list") },
	"read-keys":             func() error { return readThere("/proc/keys") },
	"write-huge-page-mode":  func() error { return openThere("/sys/kernel/mm/transparent_hugepage/enabled", unix.O_WRONLY) },
	"write-uevent-helper":   func() error { return openThere("/sys/kernel/uevent_helper", unix.O_WRONLY) },
	"write-disk-queue":      func() error { return openThere(diskQueue(), unix.O_WRONLY) },
	"read-kernel-log-call":  func() error { return sys(unix.SYS_SYSLOG, 9) }, // how much is unread
	"environment-ld":        func() error { return inEnvironment("LD_") },
	"environment-nvidia":    func() error { return inEnvironment("NVIDIA_") },
	"core-dump":             coreDump,
	"leaked-descriptor":     leakedDescriptor,
	"raise-from-oom-killer": func() error { return os.WriteFile("/proc/1/oom_score_adj", []byte("1000"), 0) },
}

// rewrite writes to a file what it says already.
func rewrite(path string) error {
	if err := there(path); err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0)
}

func openThere(path string, flags int) error {
	if err := there(path); err != nil {
		return err
	}
	return open(path, flags)
}

// readThere wants a line: a mask is an empty file.
func readThere(path string) error {
	if err := there(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Read(make([]byte, 1))
	return err
}

func diskQueue() string {
	entries, _ := os.ReadDir("/sys/block")
	for _, e := range entries {
		path := "/sys/block/" + e.Name() + "/queue/nr_requests"
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return "/sys/block/none"
}

func inEnvironment(prefix string) error {
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, prefix) {
			return nil
		}
	}
	return fmt.Errorf("no %s*", prefix)
}

// leakedFiles names what this process was started with beside its three streams.
func leakedFiles() string {
	var leaked []string
	for fd := 3; fd < 256; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // not there, or the Go runtime's own
		}
		name, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		leaked = append(leaked, fmt.Sprintf("%d=%s", fd, name))
	}
	return strings.Join(leaked, " ")
}

func leakedDescriptor() error {
	if leaked := os.Getenv("ESCAPE_LEAKED"); leaked != "" {
		fmt.Println(leaked)
		return nil
	}
	return fmt.Errorf("only 0, 1 and 2")
}
