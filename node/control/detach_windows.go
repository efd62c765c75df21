package control

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// detach keeps cmd away from this console and its Ctrl-C.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		HideWindow:    true,
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS,
	}
}
