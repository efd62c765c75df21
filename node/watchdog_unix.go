//go:build unix

package node

import (
	"os/exec"
	"syscall"
)

// ownSession keeps a terminal's signals from a child.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
