//go:build linux

package containerd

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/runtime/containerd/record"
)

// protection is one thing that a task is held in.
type protection string

const (
	capabilities     protection = "capabilities"
	seccompProfile   protection = "seccomp"
	noNewPrivileges  protection = "no-new-privileges"
	userNamespace    protection = "user-namespace"
	pidNamespace     protection = "pid-namespace"
	ipcNamespace     protection = "ipc-namespace"
	networkNamespace protection = "network-namespace"
	cgroupNamespace  protection = "cgroup-namespace"
	cgroupReadonly   protection = "cgroup-readonly"
	maskedPaths      protection = "masked-paths"
	readonlyPaths    protection = "readonly-paths"
	readonlyMounts   protection = "readonly-mounts"
	devices          protection = "device-cgroup"
	ownRoot          protection = "own-root"
	separateInit     protection = "separate-init"
	environment      protection = "environment-filter"
	coreLimit        protection = "core-limit"
	memoryLimit      protection = "memory-limit"
	processLimit     protection = "process-limit"
	cpuLimit         protection = "cpu-limit"
	tmpfsSize        protection = "tmpfs-size"
	diskQuota        protection = "disk-quota"
	nodevRoot        protection = "root-without-devices"
)

// loosened is a task without some of its protections.
type loosened struct {
	off  []protection
	l    *launch
	spec *oci.Spec
	f    *fixture
}

func (o *loosened) lacks(p protection) bool { return slices.Contains(o.off, p) }

// loosen is what a Runtime's field of that name is set to.
func (f *fixture) loosen(l *launch) {
	off := f.off(l.spec.ID)
	if slices.Contains(off, userNamespace) {
		l.users.First = 0
	}
	if slices.Contains(off, diskQuota) {
		l.spec.Limits.DiskBytes = 1 << 30
	}
	if slices.Contains(off, nodevRoot) {
		l.flags = nil
	}
	if slices.Contains(off, environment) {
		l.job.Env = append(l.job.Env, strays...)
	}
	l.last = []oci.SpecOpts{func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		o := &loosened{off: off, l: l, spec: s, f: f}
		o.users()
		o.namespaces()
		o.kernelFiles()
		o.mounts()
		o.limits()
		o.process()
		return nil
	}}
}

// users takes the user namespace away: a user of the task is that user of the host.
func (o *loosened) users() {
	if !o.lacks(userNamespace) {
		return
	}
	o.dropNamespace(specs.UserNamespace)
	o.spec.Linux.UIDMappings, o.spec.Linux.GIDMappings = nil, nil
}

func (o *loosened) dropNamespace(kind specs.LinuxNamespaceType) {
	o.spec.Linux.Namespaces = slices.DeleteFunc(o.spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
}

// namespaces drops some. A user namespace cannot mount what belongs to another's
// namespaces: those mounts go, or are the host's.
func (o *loosened) namespaces() {
	if o.lacks(pidNamespace) {
		o.dropNamespace(specs.PIDNamespace)
		*o.mount("/proc") = specs.Mount{Type: "bind", Source: "/proc", Destination: "/proc", Options: []string{"rbind", "rprivate"}}
	}
	if o.lacks(ipcNamespace) {
		o.dropNamespace(specs.IPCNamespace)
		o.dropMount("/dev/mqueue")
	}
	if o.lacks(networkNamespace) {
		o.dropNamespace(specs.NetworkNamespace)
		o.spec.Linux.Sysctl = nil // runc sets none of the host's
		o.dropMount("/sys/fs/cgroup")
		o.dropMount("/sys")
	}
	if o.lacks(cgroupNamespace) {
		o.dropNamespace(specs.CgroupNamespace)
	}
}

func (o *loosened) mount(at string) *specs.Mount {
	for i := range o.spec.Mounts {
		if o.spec.Mounts[i].Destination == at {
			return &o.spec.Mounts[i]
		}
	}
	return &specs.Mount{}
}

func (o *loosened) dropMount(at string) {
	o.spec.Mounts = slices.DeleteFunc(o.spec.Mounts, func(m specs.Mount) bool { return m.Destination == at })
}

func (o *loosened) kernelFiles() {
	if o.lacks(maskedPaths) {
		o.spec.Linux.MaskedPaths = nil
	}
	if o.lacks(readonlyPaths) {
		o.spec.Linux.ReadonlyPaths = nil
		writable(o.mount("/sys"))
	}
	if o.lacks(cgroupReadonly) {
		writable(o.mount("/sys/fs/cgroup"))
	}
	if o.lacks(devices) {
		o.spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	}
}

func writable(m *specs.Mount) {
	for i, option := range m.Options {
		if option == "ro" {
			m.Options[i] = "rw"
		}
	}
}

func (o *loosened) mounts() {
	if o.lacks(readonlyMounts) {
		writable(o.mount("/input"))
		writable(o.mount(record.InitPath))
	}
	if o.lacks(ownRoot) {
		for at, source := range map[string]string{"/host/etc": "/etc", "/host/node": o.f.secret, o.f.secret: o.f.secret, "/host/state": o.f.paths.state} {
			o.spec.Mounts = append(o.spec.Mounts, specs.Mount{Type: "bind", Source: source, Destination: at, Options: []string{"rbind", "rprivate"}})
		}
	}
	if o.lacks(initLast) {
		initBeforeTheRest(o.spec.Mounts)
	}
	if o.lacks(tmpfsSize) {
		for _, at := range []string{"/tmp", "/dev/shm"} {
			m := o.mount(at)
			m.Options = slices.DeleteFunc(m.Options, func(option string) bool { return strings.HasPrefix(option, "size=") })
		}
	}
}

func (o *loosened) limits() {
	r := o.spec.Linux.Resources
	if o.lacks(memoryLimit) {
		r.Memory = nil
	}
	if o.lacks(processLimit) {
		r.Pids = nil
	}
	if o.lacks(cpuLimit) {
		r.CPU = nil
	}
	if o.lacks(coreLimit) {
		var ours unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_CORE, &ours)
		for i := range o.spec.Process.Rlimits {
			if limit := &o.spec.Process.Rlimits[i]; limit.Type == "RLIMIT_CORE" {
				limit.Soft, limit.Hard = ours.Max, ours.Max
			}
		}
	}
}

// process changes what runs as PID 1. Our init would drop all capabilities of the job,
// and refuses to be anything but PID 1.
func (o *loosened) process() {
	p := o.spec.Process
	if o.lacks(seccompProfile) {
		o.spec.Linux.Seccomp = nil
	}
	if o.lacks(noNewPrivileges) {
		p.NoNewPrivileges = false
	}
	if !o.lacks(separateInit) && !o.lacks(capabilities) && !o.lacks(pidNamespace) {
		return
	}
	job := o.l.job
	p.Args = []string{record.InitPath, "naive"}
	p.User = specs.User{UID: job.UID, GID: job.GID, AdditionalGids: job.Groups}
	o.mount(record.InitPath).Source = o.f.probe
	for _, name := range []string{".", record.JobFile, record.StdoutFile, record.StderrFile} {
		_ = os.Lchown(filepath.Join(o.l.recordDir, name), int(o.l.users.First+job.UID), int(o.l.users.First+job.GID))
	}
	var given []string
	if o.lacks(capabilities) {
		given = ourCapabilities()
	}
	p.Capabilities = &specs.LinuxCapabilities{Bounding: given, Effective: given, Permitted: given, Inheritable: given, Ambient: given}
}

// ourCapabilities are those of this process, which may lack some itself.
func ourCapabilities() []string {
	b, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(b), "CapBnd:\t")
	line, _, _ := strings.Cut(after, "\n")
	mask, _ := strconv.ParseUint(line, 16, 64)
	var names []string
	for i, name := range []string{"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
		"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE",
		"SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
		"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
		"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"} {
		if mask&(1<<i) != 0 {
			names = append(names, "CAP_"+name)
		}
	}
	return names
}

func TestEveryProtectionIsSwitchedOffByAnAttempt(t *testing.T) {
	seen := make(map[protection]bool)
	for _, a := range attempts {
		for _, p := range a.off {
			seen[p] = true
		}
	}
	for _, a := range hostAttempts {
		seen[a.by] = true
	}
	for _, p := range []protection{capabilities, seccompProfile, noNewPrivileges, userNamespace, pidNamespace, ipcNamespace,
		networkNamespace, cgroupNamespace, cgroupReadonly, maskedPaths, readonlyPaths, readonlyMounts, devices, ownRoot,
		separateInit, environment, coreLimit, memoryLimit, processLimit, cpuLimit, tmpfsSize, diskQuota, nodevRoot} {
		if !seen[p] {
			t.Errorf("nothing tries %s", p)
		}
	}
}
