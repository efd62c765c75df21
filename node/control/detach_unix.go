//go:build unix

package control

import (
	"os/exec"
	"syscall"
)

// detach puts cmd into a session of its own, out of reach of this terminal's signals.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
