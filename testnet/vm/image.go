//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// suite is the Debian release of the machine; its systemd mounts control groups of version 2 alone.
const suite = "bookworm"

// packages are in the machine beside Debian's minimal base: an init, a kernel, a
// network, and what tasks need on a worker. busybox is what test images are made of.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "udev", "kmod", "linux-image-amd64", "initramfs-tools",
	"iproute2", "iptables", "nftables", "e2fsprogs", "procps", "busybox-static",
}

// Labels of the machine's disks.
const (
	rootLabel  = "root"
	toolsLabel = "tools" // what is tested, made new each time, read-only at /opt/rigmesh
	dataLabel  = "data"  // /var/lib/rigmesh
)

// whenThere is a mount option: a disk that takes long to appear, because the emulator is slow, is no
// reason to go into emergency mode, from where nobody can bring the machine back.
const whenThere = ",x-systemd.device-timeout=0"

// settings are the files that make a Debian into the machine.
var settings = map[string]string{
	"etc/fstab": "LABEL=" + rootLabel + " / ext4 defaults 0 1\n" +
		"LABEL=" + toolsLabel + " /opt/rigmesh ext4 ro" + whenThere + " 0 0\n" +
		"LABEL=" + dataLabel + " /var/lib/rigmesh ext4 defaults" + whenThere + " 0 2\n",
	"etc/hostname":                     "rigmesh-vm\n",
	"etc/initramfs-tools/modules":      "virtio_pci\nvirtio_blk\next4\n",
	"etc/initramfs-tools/conf.d/small": "MODULES=list\n",
	"etc/systemd/network/wire.network": "[Match]\nDriver=virtio_net\n[Network]\nAddress=" + guestAddress + "/24\nGateway=" + hostAddress + "\nLinkLocalAddressing=no\n",
	"etc/systemd/system/agent.service": "[Service]\nExecStart=/opt/rigmesh/agent\nRestart=always\nRestartSec=1\nOOMScoreAdjust=-1000\n" +
		"[Unit]\nRequiresMountsFor=/opt/rigmesh /var/lib/rigmesh\nDefaultDependencies=yes\n[Install]\nWantedBy=multi-user.target\n",
}

// script finishes the file system; $1 is its folder. Timers would start work of their own.
const script = `set -e
rm -f "$1/etc/resolv.conf"
mkdir -p "$1/opt/rigmesh" "$1/var/lib/rigmesh"
chroot "$1" systemctl enable agent.service systemd-networkd.service
chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@tty1.service
chroot "$1" passwd -d root`

// image is a built root file system, with the kernel that boots it.
type image struct{ root, kernel, initrd string }

// build makes the image in a folder, unless it is there already.
func build(ctx context.Context, cache string) (image, error) {
	dir := filepath.Join(cache, "image-"+recipe())
	made := image{root: filepath.Join(dir, "root.ext4"), kernel: filepath.Join(dir, "vmlinuz"), initrd: filepath.Join(dir, "initrd.img")}
	if _, err := os.Stat(dir); err == nil {
		return made, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return image{}, err
	}
	work, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		return image{}, err
	}
	defer os.RemoveAll(work)
	tree := filepath.Join(work, "tree")
	if err := install(ctx, work, tree); err != nil {
		return image{}, err
	}
	for from, to := range map[string]string{"boot/vmlinuz-*": "vmlinuz", "boot/initrd.img-*": "initrd.img"} {
		found, _ := filepath.Glob(filepath.Join(tree, from))
		if len(found) != 1 {
			return image{}, fmt.Errorf("the image has %d files %s, want one", len(found), from)
		}
		if err := os.Rename(found[0], filepath.Join(work, to)); err != nil {
			return image{}, err
		}
	}
	if err := disk(ctx, filepath.Join(work, "root.ext4"), rootLabel, "4G", tree); err != nil {
		return image{}, err
	}
	if err := os.RemoveAll(tree); err != nil {
		return image{}, err
	}
	return made, os.Rename(work, dir)
}

// recipe names what an image is made of, so that a changed one is made anew.
func recipe() string {
	return fmt.Sprintf("%.6x", sha256.Sum256(fmt.Append(nil, suite, packages, settings, script)))
}

// install puts Debian and the settings into a folder.
func install(ctx context.Context, work, tree string) error {
	overlay := filepath.Join(work, "settings")
	for name, text := range settings {
		path := filepath.Join(overlay, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	finish := filepath.Join(work, "finish")
	if err := os.WriteFile(finish, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		return err
	}
	args := []string{"--mode=root", "--variant=minbase", "--aptopt=APT::Install-Recommends \"false\"",
		"--include=" + strings.Join(packages, ","), "--setup-hook=cp -r " + overlay + "/. \"$1\"", "--customize-hook=" + finish + " \"$1\""}
	for _, unused := range []string{"doc", "man", "locale"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+unused+"/*")
	}
	return command(ctx, "mmdebstrap", append(args, suite, tree)...)
}

// disk makes a disk with one ext4 file system of what is in a folder; size as
// mke2fs takes it. An empty folder name makes an empty one.
func disk(ctx context.Context, path, label, size, folder string) error {
	args := []string{"-q", "-F", "-t", "ext4", "-L", label}
	if folder != "" {
		args = append(args, "-d", folder)
	}
	return command(ctx, "mke2fs", append(args, path, size)...)
}

// command runs a program, and gives what it printed when it fails.
func command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // what go builds runs where no other file is
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
