package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// forgetInput drops what was typed and not read yet.
func forgetInput(f *os.File) { _ = unix.IoctlSetInt(int(f.Fd()), unix.TCFLSH, unix.TCIFLUSH) }
