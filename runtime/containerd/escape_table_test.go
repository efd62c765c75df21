//go:build linux

package containerd

// An attempt succeeds when exactly these protections are off. With any one of them
// back on it is denied, so each of them denies it alone.
type attempt struct {
	name string
	off  []protection
	user string // empty: user 0, who can do most
}

// attempts are the names of testnet/escape/probe and what stands in their way.
var attempts = []attempt{
	{name: "mount-tmpfs", off: admin},
	{name: "mount-proc", off: admin},
	{name: "mount-bind", off: admin},
	{name: "mount-overlay", off: admin},
	{name: "mount-by-fsopen", off: admin},
	{name: "mount-clone-tree", off: admin},
	{name: "remount-input-rw", off: admin},
	{name: "remount-init-rw", off: admin},
	{name: "set-mount-writable", off: admin},
	{name: "unmount-mask", off: admin},
	{name: "unmount-record", off: admin},
	{name: "make-mounts-shared", off: admin},
	{name: "pivot-root", off: admin},
	{name: "chroot", off: admin},
	{name: "write-input", off: []protection{readonlyMounts}},
	{name: "tamper-init", off: []protection{readonlyMounts, userNamespace}},

	{name: "mknod-disk", off: hostRoot},
	{name: "mknod-memory", off: hostRoot},
	{name: "open-disk", off: hostDevice},
	{name: "open-kernel-log", off: hostDevice},
	{name: "open-fuse", off: hostDevice},
	{name: "image-device-node", off: []protection{devices, nodevRoot}},

	{name: "write-core-pattern", off: kernelFile},
	{name: "write-panic-on-oom", off: kernelFile},
	{name: "write-threads-max", off: kernelFile},
	{name: "write-modprobe-path", off: kernelFile},
	{name: "write-net-sysctl", off: []protection{readonlyPaths, capabilities}},
	{name: "open-sysrq-trigger", off: kernelFile},
	{name: "write-irq-affinity", off: kernelFile},
	{name: "write-huge-page-mode", off: kernelFile},
	{name: "write-uevent-helper", off: kernelFile},
	{name: "write-disk-queue", off: kernelFile},
	{name: "read-kernel-memory", off: []protection{userNamespace, capabilities, maskedPaths}},
	{name: "read-timer-list", off: []protection{userNamespace, maskedPaths}},
	{name: "read-keys", off: []protection{maskedPaths}},
	{name: "read-kernel-log-call", off: hostAdmin},
	{name: "environment-ld", off: []protection{environment}},
	{name: "environment-nvidia", off: []protection{environment}},
	{name: "core-dump", off: []protection{coreLimit}},

	{name: "cgroup-release-agent", off: []protection{userNamespace, capabilities, seccompProfile, cgroupNamespace}},
	{name: "cgroup-raise-memory", off: []protection{userNamespace, cgroupReadonly}},
	{name: "cgroup-new-group", off: []protection{userNamespace, cgroupReadonly}},
	{name: "cgroup-allow-devices", off: []protection{userNamespace, capabilities, cgroupReadonly}},
	{name: "cgroup-mount", off: admin},

	{name: "leaked-descriptor", off: ownInit},
	{name: "raise-from-oom-killer", off: ownInit},
	{name: "signal-init", off: ownInit},
	{name: "trace-init", off: ownInit},
	{name: "read-init-memory", off: ownInit},
	{name: "read-init-by-call", off: ownInit},
	{name: "read-init-environ", off: ownInit},
	{name: "list-init-files", off: ownInit},
	{name: "take-init-file", off: []protection{separateInit, seccompProfile}},
	{name: "enter-by-init-root", off: ownInit},
	{name: "open-init-space", off: ownInit},
	{name: "limit-init", off: ownInit},
	{name: "read-order", off: ownInit},
	{name: "open-record-folder", off: ownInit},
	{name: "forge-record", off: ownInit},
	{name: "delete-record", off: ownInit},
	{name: "truncate-output", off: ownInit},

	{name: "signal-host-process", off: []protection{pidNamespace, userNamespace}},
	{name: "trace-host-process", off: hostProcess},
	{name: "read-host-process", off: hostProcess},
	{name: "read-host-environ", off: hostProcess},
	{name: "read-host-by-its-root", off: hostProcess},
	{name: "enter-host-mounts", off: append([]protection{seccompProfile}, hostProcess...)},
	{name: "enter-host-network", off: append([]protection{seccompProfile}, hostProcess...)},
	{name: "read-host-shadow", off: hostFiles},
	{name: "read-host-secret", off: hostFiles},
	{name: "write-host-file", off: hostFiles},
	{name: "symlink-to-secret", off: hostFiles},
	{name: "connect-containerd", off: hostFiles},
	{name: "connect-control", off: hostFiles},
	{name: "host-shared-memory", off: []protection{ipcNamespace}},

	{name: "add-key", off: calls},
	{name: "read-keyring", off: calls},
	{name: "request-key", off: calls},
	{name: "userfaultfd", off: calls},
	{name: "io-uring", off: calls},
	{name: "quota-call", off: calls},
	{name: "personality", off: calls},
	{name: "compare-processes", off: calls},
	{name: "unshare-users", off: calls},
	{name: "clone-users", off: calls},
	{name: "clone3-users", off: calls},
	{name: "vsock-socket", off: calls},
	{name: "kernel-crypto-socket", off: calls},
	{name: "bpf-map", off: hostAdmin},
	{name: "perf-kernel-events", off: hostAdmin},
	{name: "kexec", off: hostAdmin},
	{name: "load-module", off: hostAdmin},
	{name: "reboot", off: append([]protection{pidNamespace}, hostAdmin...)},
	{name: "swap-off", off: hostAdmin},
	{name: "accounting", off: hostAdmin},
	{name: "set-clock", off: hostAdmin},
	{name: "io-ports", off: hostAdmin},
	{name: "io-privilege", off: hostAdmin},
	{name: "open-by-handle", off: hostAdmin},
	{name: "watch-all-files", off: hostAdmin},
	{name: "tune-clock", off: hostRoot},
	{name: "raise-priority", off: hostRoot},
	{name: "lock-memory", off: hostRoot},
	{name: "unshare-mounts", off: admin},
	{name: "unshare-network", off: admin},
	{name: "unshare-cgroups", off: admin},
	{name: "set-host-name", off: admin},
	{name: "enter-namespace", off: admin},

	{name: "setuid-file", off: []protection{noNewPrivileges}, user: "worker"},
	{name: "file-capability", off: []protection{noNewPrivileges, capabilities}, user: "worker"},
	{name: "root-by-exec", off: []protection{noNewPrivileges, capabilities}},
	{name: "become-another-user", off: caps},
	{name: "become-the-init", off: caps},
	{name: "change-groups", off: caps},
	{name: "give-file-away", off: caps},
	{name: "read-others-file", off: caps},
	{name: "raise-capabilities", off: caps},
	{name: "ambient-capability", off: caps},
	{name: "change-secure-bits", off: caps},
	{name: "raw-socket", off: caps},
	{name: "packet-socket", off: caps},
	{name: "change-interface", off: caps},
	{name: "add-address", off: caps},

	{name: "connect-host-loopback", off: network},
	{name: "connect-lan", off: network},
	{name: "connect-host-abstract", off: network},
	{name: "send-datagram-to-lan", off: network},

	{name: "take-memory", off: []protection{memoryLimit}},
	{name: "fill-tmp", off: []protection{tmpfsSize}},
	{name: "fill-shm", off: []protection{tmpfsSize}},
	{name: "fill-root", off: disk},
	{name: "fill-output", off: disk},
	{name: "fill-input", off: disk},
	{name: "many-files", off: disk},
	{name: "many-processes", off: []protection{processLimit}},
}

// Protections that go together often.
var (
	calls       = []protection{seccompProfile}
	caps        = []protection{capabilities}
	ownInit     = []protection{separateInit}
	disk        = []protection{diskQuota}
	network     = []protection{networkNamespace}
	admin       = []protection{capabilities, seccompProfile}
	hostRoot    = []protection{userNamespace, capabilities}
	hostDevice  = []protection{userNamespace, capabilities, devices, nodevRoot}
	hostAdmin   = []protection{userNamespace, capabilities, seccompProfile}
	hostFiles   = []protection{ownRoot, userNamespace}
	hostProcess = []protection{pidNamespace, userNamespace, capabilities}
	kernelFile  = []protection{userNamespace, readonlyPaths}
)
