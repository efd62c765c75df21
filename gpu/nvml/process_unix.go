//go:build unix

package nvml

import "syscall"

// ownGroup keeps the terminal's Ctrl-C from the helper. A stopped helper whose
// node was killed is a stopped group without a parent: the kernel ends it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
