//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const secbitKeepCaps = 1 << 4

var privilegeAttempts = map[string]func() error{
	"setuid-file":         func() error { return exec.Command("/evil/setuid", "root").Run() },
	"file-capability":     fileCapability,
	"root-by-exec":        rootByExec,
	"become-another-user": func() error { return sys(unix.SYS_SETRESUID, 7, 7, 7) },
	"become-the-init":     func() error { return sys(unix.SYS_SETRESUID, 65535, 65535, 65535) },
	"change-groups":       func() error { g := uint32(7); return sys(unix.SYS_SETGROUPS, 1, pointer(&g)) },
	"give-file-away":      giveAway,
	"read-others-file":    func() error { return open("/evil/others", unix.O_RDONLY) },
	"raise-capabilities":  raiseCapabilities,
	"ambient-capability": func() error {
		return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_RAW, 0, 0)
	},
	"change-secure-bits": func() error { return unix.Prctl(unix.PR_SET_SECUREBITS, secbitKeepCaps, 0, 0, 0) },
}

// withoutCapabilities makes the next exec start with none but what it may gain.
func withoutCapabilities() error {
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &make([]unix.CapUserData, 2)[0])
}

func fileCapability() error {
	if err := withoutCapabilities(); err != nil {
		return err
	}
	return unix.Exec("/evil/capable", []string{"capable", "capable"}, nil)
}

// rootByExec counts on an exec by user 0 to hand out what the bounding set allows.
func rootByExec() error {
	if os.Getuid() != 0 {
		return unix.EPERM
	}
	if err := withoutCapabilities(); err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", []string{"capable", "capable"}, nil)
}

func capable(c uint) error {
	data := make([]unix.CapUserData, 2)
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return err
	}
	if data[0].Effective&(1<<c) == 0 {
		return unix.EPERM
	}
	return nil
}

func isRoot() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("still user %d", os.Geteuid())
	}
	return nil
}

func giveAway() error {
	dir, err := fresh()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "file")
	return errors.Join(create(path), os.Chown(path, 7, 7))
}

func raiseCapabilities() error {
	data := []unix.CapUserData{{Effective: 1 << unix.CAP_SYS_ADMIN, Permitted: 1 << unix.CAP_SYS_ADMIN}, {}}
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0])
}
