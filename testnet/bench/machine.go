//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is where and on what the figures were measured.
type machine struct {
	at       time.Time
	cores    int
	model    string
	memory   int64 // bytes
	kernel   string
	disk     string // the data directories' place and file system
	revision string
	flags    string
	load     string // how busy the machine was with other things, as the bench began
}

// busyness is how many processes of others wanted a core in the last minute.
func busyness() string {
	var load string
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(text), " ")
	}
	return load
}

// busyCores is for how long cores were busy since the machine booted, all together; 0 where the kernel does not say.
func busyCores() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	var user, nice, system, idle, wait, irq, soft int64
	_, _ = fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &soft)
	const tick = 10 * time.Millisecond // what the kernel counts in towards programs, on every machine
	return time.Duration(user+nice+system+irq+soft) * tick
}

func thisMachine(ctx context.Context, rigmesh, dir, flags string) machine {
	var u unix.Utsname
	_ = unix.Uname(&u) // cannot fail with a valid address
	m := machine{
		at: time.Now().UTC(), cores: goruntime.NumCPU(), kernel: unix.ByteSliceToString(u.Release[:]),
		model: procField("/proc/cpuinfo", "model name"), flags: flags,
	}
	var kib int64
	_, _ = fmt.Sscanf(procField("/proc/meminfo", "MemTotal"), "%d", &kib)
	m.memory = kib << 10
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) == nil {
		m.disk = filepath.Dir(dir) + " on " + fileSystem(st.Type)
	}
	if out, err := exec.CommandContext(ctx, rigmesh, "--version").Output(); err == nil {
		m.revision = strings.TrimSpace(string(out))
	}
	return m
}

// String is the machine in one line.
func (m machine) String() string {
	return fmt.Sprintf("%s · %d cores %s, %.0f GiB of memory, %s · Linux %s, load %s before · %s · `bench%s`",
		m.at.Format("2006-01-02 15:04 MST"), m.cores, m.model, float64(m.memory)/(1<<30), m.disk, m.kernel, m.load, m.revision, m.flags)
}

func fileSystem(magic int64) string {
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	}
	if name, ok := names[magic]; ok {
		return name
	}
	return fmt.Sprintf("file system %#x", magic)
}

// procField is the first value of a name in a "name: value" file of /proc.
func procField(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
