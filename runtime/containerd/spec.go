//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// Defaults of limits that a spec leaves open.
const (
	defaultCPUMillis   = 1000
	defaultMemoryBytes = 1 << 30
	defaultPids        = 512
	defaultIOBytes     = 256 << 20
	leastMemoryBytes   = 16 << 20 // runc and the init need some themselves
)

// initCaps are what the init needs to become the job's user, to leave nothing of
// itself in the job (SETPCAP empties the bounding set), and to signal the job later.
var initCaps = []string{"CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_SETPCAP"}

// launch is what makes the OCI spec of one task.
type launch struct {
	spec      runtime.Spec
	job       record.Job
	workdir   string
	users     users
	namespace string
	init      string // path of the init on the host
	root      string // and of its root folder
	disk      uint64 // the device that its disk is on
	chain     string // names the image's layers
	recordDir string
	hostsFile string

	resolvFile string         // empty: no way out
	volumes    []string       // folders of the image that stay writable in a read-only root
	sources    []string       // where each of the spec's mounts is on the host
	flags      []string       // of the mount of the root folder
	last       []oci.SpecOpts // see Runtime.loosen
}

// options are the whole of a task's OCI spec, on top of containerd's defaults. The
// image's environment and command are not in it: the init reads them from a file, so
// that nothing a stranger wrote reaches a hook or our own init.
func (l *launch) options() []oci.SpecOpts {
	limits := l.spec.Limits
	memory := int64(max(or(limits.MemoryBytes, defaultMemoryBytes), leastMemoryBytes))
	const period = 100_000 // µs
	quota := int64(or(limits.CPUMillis, defaultCPUMillis)) * period / 1000
	root := []oci.SpecOpts{oci.WithRootFSPath(l.root)}
	if l.spec.ReadOnlyRoot {
		root = append(root, oci.WithRootFSReadonly())
	}
	return slices.Concat([]oci.SpecOpts{
		oci.WithDefaultSpec(),
		oci.WithDefaultUnixDevices,
		oci.WithProcessArgs(record.InitPath),
		oci.WithEnv([]string{"PATH="}),
		oci.WithProcessCwd(l.workdir),
		oci.WithUIDGID(record.InitID, record.InitID),
		oci.WithCapabilities(initCaps),
		oci.WithAmbientCapabilities(initCaps), // the init is not user 0
		oci.WithNoNewPrivileges,
		oci.WithUserNamespace(l.users.mapping(), l.users.mapping()),
		oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}),
		oci.WithHostname(l.spec.ID),
		oci.WithCgroup("/" + l.namespace + "/" + l.spec.ID),
		oci.WithMemoryLimit(uint64(memory)),
		oci.WithPidsLimit(int64(or(limits.Pids, defaultPids)) + record.InitThreads),
		oci.WithCPUCFS(max(quota, 1000), period),
		withSwapIn(memory),
		withIO(l.disk, or(limits.IOBytes, defaultIOBytes)),
		withRlimits,
		withLowPorts,
		oci.WithoutMounts("/dev/shm", "/run"),
		oci.WithMounts(l.mounts(memory)),
		withDeviceRules(l.spec.Devices),
		seccomp.WithDefaultProfile(), // after the capabilities, which it looks at
	}, root, l.last)
}

func or[T uint64 | uint32](v, instead T) T {
	if v == 0 {
		return instead
	}
	return v
}

// withLowPorts lets a task's user listen on port 80 in the task's own network, as images
// that serve something expect: it has no capability that would.
func withLowPorts(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0"}
	return nil
}

// withSwapIn counts swap within the memory limit, where the kernel counts swap at all.
func withSwapIn(memory int64) oci.SpecOpts {
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil {
		if _, err := os.Stat("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"); err != nil {
			return func(context.Context, oci.Client, *containers.Container, *oci.Spec) error { return nil }
		}
	}
	return oci.WithMemorySwap(memory)
}

// withIO bounds what a task reads from its disk and writes to it in a second, where the
// kernel can. Version 1 of control groups sees only writes that go past the page cache.
func withIO(device, bytes uint64) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		if device == 0 || !throttles(cgroupRoot) {
			return nil
		}
		limit := specs.LinuxThrottleDevice{Rate: bytes}
		limit.Major, limit.Minor = int64(unix.Major(device)), int64(unix.Minor(device))
		s.Linux.Resources.BlockIO = &specs.LinuxBlockIO{
			ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{limit}, ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{limit}}
		return nil
	}
}

// noCore is the limit at which the kernel writes no core file and starts no program
// for one either. Zero stops the file only, and the program runs as root on the host.
const noCore = 1

// withRlimits allows as many open files as people are used to in containers, or as we may
// have ourselves: from inside a user namespace nobody can raise that.
func withRlimits(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	var files, core unix.Rlimit
	if err := errors.Join(unix.Getrlimit(unix.RLIMIT_NOFILE, &files), unix.Getrlimit(unix.RLIMIT_CORE, &core)); err != nil {
		return err
	}
	n, c := min(1<<20, files.Max), min(noCore, core.Max)
	s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: n, Soft: n}, {Type: "RLIMIT_CORE", Hard: c, Soft: c}}
	return nil
}

// mounts are the usual in-memory ones, sized, the job's own, and the init's two. Those
// come last: whatever links the image has at the job's places, nothing covers them.
func (l *launch) mounts(memory int64) []specs.Mount {
	inMemory := func(target string, size int64, options ...string) specs.Mount {
		return specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: target,
			Options: append(options, "nosuid", "nodev", fmt.Sprintf("size=%d", size), "mode=1777")}
	}
	ours := func(more ...string) []string { return append([]string{"bind", "nosuid", "nodev", "rprivate"}, more...) }
	mounts := []specs.Mount{
		inMemory("/tmp", memory/2),
		inMemory("/dev/shm", memory/2, "noexec"), // containerd's 64 MiB are too few for data loaders
		{Type: "cgroup", Source: "cgroup", Destination: "/sys/fs/cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
		{Type: "bind", Source: l.hostsFile, Destination: "/etc/hosts", Options: ours("ro", "noexec")},
	}
	if l.resolvFile != "" {
		mounts = append(mounts, specs.Mount{Type: "bind", Source: l.resolvFile, Destination: "/etc/resolv.conf", Options: ours("ro", "noexec")})
	}
	for _, v := range l.volumes {
		mounts = append(mounts, specs.Mount{Type: "bind", Source: filepath.Join(l.root, v), Destination: v, Options: ours("rw")})
	}
	for i, m := range l.spec.Mounts {
		access := "rw"
		if !m.Writable() {
			access = "ro"
		}
		mounts = append(mounts, specs.Mount{Type: "bind", Source: l.sources[i], Destination: m.Target, Options: ours(access)})
	}
	return append(append(mounts, deviceMounts(l.spec.Devices)...),
		specs.Mount{Type: "bind", Source: l.init, Destination: record.InitPath, Options: ours("ro")},
		specs.Mount{Type: "bind", Source: l.recordDir, Destination: record.DirPath, Options: ours("noexec")})
}

// withoutStrays is an image's environment without what steers a dynamic linker or
// hands out devices.
func withoutStrays(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "LD_") && !strings.HasPrefix(e, "NVIDIA_") {
			kept = append(kept, e)
		}
	}
	return kept
}
