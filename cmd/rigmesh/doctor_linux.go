package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/gpu/nvml"
	"github.com/rigmesh/rigmesh/gpu/pci"
	"github.com/rigmesh/rigmesh/node/config"
)

// machineChecks are about what a worker needs of its machine.
var machineChecks = []func(context.Context, config.Config) checkup{
	checkRoot, checkDriver, checkContainerd, checkCgroups, checkNamespaces, checkCDI, checkToolkit,
}

func checkRoot(context.Context, config.Config) checkup {
	if os.Geteuid() != 0 {
		return wrong("root", "sudo rigmesh up, or: sudo rigmesh service install", "this is not root, and a worker runs containers")
	}
	return good("root", "this is root")
}

func checkDriver(_ context.Context, cfg config.Config) checkup {
	cards, err := pci.Cards("/")
	if err != nil {
		return wrong("driver", "mount /sys", "the PCI bus cannot be read: %v", err)
	}
	nvidia := 0
	for _, c := range cards {
		if c.Vendor == pci.NVIDIA {
			nvidia++
		}
	}
	module, loaded := pci.NVIDIAModule("/")
	switch {
	case nvidia == 0 && cfg.SimulateGPU != "":
		return good("driver", "no NVIDIA card; GPUs are simulated: %s", cfg.SimulateGPU)
	case nvidia == 0:
		return wrong("driver", "rigmesh config set simulate-gpu rtx-4090 tries things out without a card", "no NVIDIA card on the PCI bus")
	case !loaded:
		return wrong("driver", "apt install nvidia-driver, or as your distribution has it; then reboot", "%s and no driver", several(uint32(nvidia), "NVIDIA card"))
	}
	if p := nvml.CheckDriver(module.Version); p != nil {
		return wrong("driver", p.Remedy, "%s", p.Text)
	}
	return good("driver", "%s, driver %s", several(uint32(nvidia), "NVIDIA card"), module.Version)
}

func checkContainerd(_ context.Context, cfg config.Config) checkup {
	for _, name := range []string{"/proc/self/ns/user", "/proc/self/ns/pid", "/proc/self/ns/net"} {
		if !exists(name) {
			return wrong("containers", "use a kernel with namespaces", "%s is missing", name)
		}
	}
	path := filepath.Join(cfg.DataDir, "containerd", "containerd.sock")
	if len(path) > 107 {
		return wrong("containers", "use a shorter --data DIR", "the path of a socket would be %d bytes, and 107 are allowed: %s", len(path), path)
	}
	if filesystems, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(filesystems), "overlay") {
		if _, err := os.Stat("/sys/module/overlay"); errors.Is(err, fs.ErrNotExist) {
			return wrong("containers", "modprobe overlay", "the kernel has no overlay file system")
		}
	}
	return good("containers", "containerd and runc are inside rigmesh; the kernel has what they need")
}

func checkCgroups(context.Context, config.Config) checkup {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err != nil {
		return wrong("cgroups", "mount -t cgroup2 none /sys/fs/cgroup", "/sys/fs/cgroup: %v", err)
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		for _, c := range []string{"memory", "cpu", "pids", "freezer"} {
			if !exists("/sys/fs/cgroup/" + c) {
				return wrong("cgroups", "boot with cgroup_enable="+c, "version 1 without %s: no limits on tasks", c)
			}
		}
		return good("cgroups", "version 1, with memory, cpu, pids and freezer")
	}
	have, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	for _, c := range []string{"memory", "cpu", "pids"} {
		if !strings.Contains(" "+strings.TrimSpace(string(have))+" ", " "+c+" ") {
			return wrong("cgroups", "boot with cgroup_enable="+c, "version 2 without %s: no limits on tasks", c)
		}
	}
	return good("cgroups", "version 2")
}

func checkNamespaces(context.Context, config.Config) checkup {
	b, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	if err == nil && strings.TrimSpace(string(b)) == "0" {
		return wrong("isolation", "sysctl user.max_user_namespaces=10000", "user namespaces are off, and tasks run in one")
	}
	return good("isolation", "user namespaces are there")
}

// checkCDI looks for descriptions of devices that somebody else made. Without any
// rigmesh makes its own.
func checkCDI(context.Context, config.Config) checkup {
	var found []string
	for _, dir := range []string{"/etc/cdi", "/var/run/cdi"} {
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		found = append(found, names...)
	}
	if len(found) == 0 {
		return good("CDI", "none in /etc/cdi: rigmesh describes the devices itself")
	}
	return good("CDI", "%s", strings.Join(found, " "))
}

// checkToolkit looks for NVIDIA Container Toolkit. rigmesh needs none and runs none of its
// hooks; what else runs containers on this machine may.
func checkToolkit(ctx context.Context, _ config.Config) checkup {
	path, err := exec.LookPath("nvidia-ctk")
	if err != nil {
		return good("toolkit", "no NVIDIA Container Toolkit, and none is needed")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, path, "--version").Output()
	v := toolkitVersion(string(said))
	if err != nil || v == "" {
		return wrong("toolkit", "reinstall nvidia-container-toolkit, or remove it", "%s --version says %q, %v", path, strings.TrimSpace(string(said)), err)
	}
	if p := nvml.CheckToolkit(v); p != nil {
		return wrong("toolkit", p.Remedy, "%s. Jobs of rigmesh run none of them; other containers of this machine may", p.Text)
	}
	return good("toolkit", "NVIDIA Container Toolkit %s", v)
}

// toolkitVersion finds the version in what nvidia-ctk --version says: "NVIDIA Container
// Toolkit CLI version 1.17.8" and the commit on another line. "" when there is none.
func toolkitVersion(said string) gpu.Version {
	_, rest, _ := strings.Cut(said, "version ")
	line, _, _ := strings.Cut(rest, "\n")
	number, _, _ := strings.Cut(strings.TrimSpace(line), "-") // 1.18.0-rc.2
	v := gpu.Version(number)
	if !v.Valid() {
		return ""
	}
	return v
}
