//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
)

// The wire between this machine, whose end is in a network namespace of our own, and the
// emulated one. libp2p must take the addresses for public ones; no route leads out.
const (
	hostDevice   = "vm0"
	hostAddress  = "11.0.0.1"
	guestAddress = "11.0.0.2"
)

// inside is set in the environment of the process that has the network namespace.
const inside = "RIGMESH_VM_INSIDE"

// apart runs this program again in a network namespace of its own, which ends with it.
func apart(ctx context.Context) error {
	runtime.LockOSThread() // the death signal comes when the thread that started the child ends
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it has an emulator to end
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	return cmd.Run()
}

// lay makes our end of the wire.
func lay() error {
	tap := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: hostDevice}, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR}
	if err := netlink.LinkAdd(tap); err != nil {
		return fmt.Errorf("make %s: %w", hostDevice, err)
	}
	for _, name := range []string{"lo", hostDevice} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("set up %s: %w", name, err)
		}
	}
	address, err := netlink.ParseAddr(hostAddress + "/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(tap, address); err != nil {
		return fmt.Errorf("give %s its address: %w", hostDevice, err)
	}
	return nil
}
