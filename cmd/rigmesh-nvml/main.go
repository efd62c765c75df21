//go:build linux && cgo

package main

import (
	"fmt"
	"os"

	"golang.org/x/term"
)

func main() {
	if len(os.Args) > 1 || term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprintln(os.Stderr, "rigmesh-nvml: error: a node starts this and talks to it; see rigmesh doctor")
		os.Exit(2)
	}
	if err := newServer(os.Stdout, openLibrary()).serve(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "rigmesh-nvml: error:", err)
		os.Exit(1)
	}
	// Exit and not return: calls that hang in the driver do not keep a process that nobody needs.
	os.Exit(0)
}
