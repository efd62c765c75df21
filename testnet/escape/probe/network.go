//go:build linux

package main

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

var networkAttempts = map[string]func() error{
	"raw-socket":            func() error { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) },
	"packet-socket":         func() error { return socket(unix.AF_PACKET, unix.SOCK_RAW, 0) },
	"vsock-socket":          func() error { return family(unix.AF_VSOCK, unix.SOCK_STREAM) },
	"kernel-crypto-socket":  func() error { return family(unix.AF_ALG, unix.SOCK_SEQPACKET) },
	"change-interface":      changeInterface,
	"add-address":           addAddress,
	"connect-host-loopback": func() error { return dial("tcp", os.Getenv("ESCAPE_LOOPBACK")) },
	"connect-lan":           func() error { return dial("tcp", os.Getenv("ESCAPE_LAN")) },
	"connect-host-abstract": func() error { return dial("unix", os.Getenv("ESCAPE_ABSTRACT")) },
	"send-datagram-to-lan":  func() error { return datagram(os.Getenv("ESCAPE_LAN")) },
}

func socket(domain, kind, protocol int) error {
	fd, err := unix.Socket(domain, kind, protocol)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// family allows for kernels that were built without this kind of socket.
func family(domain, kind int) error {
	err := socket(domain, kind, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return errAbsent
	}
	return err
}

// changeInterface takes the loopback device down and up again.
func changeInterface() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	for _, flags := range []uint16{0, unix.IFF_UP | unix.IFF_RUNNING} {
		request.SetUint16(flags)
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
			return err
		}
	}
	return nil
}

// addAddress asks the kernel by netlink for another address of the loopback device.
func addAddress() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	message := []byte{
		32, 0, 0, 0, unix.RTM_NEWADDR, 0, unix.NLM_F_REQUEST | unix.NLM_F_ACK, unix.NLM_F_CREATE >> 8, 1, 0, 0, 0, 0, 0, 0, 0,
		unix.AF_INET, 32, 0, 0, 1, 0, 0, 0, // of interface 1
		8, 0, unix.IFA_LOCAL, 0, 127, 9, 9, 9,
	}
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < 20 {
		return err
	}
	if code := -int32(uint32(answer[16]) | uint32(answer[17])<<8 | uint32(answer[18])<<16 | uint32(answer[19])<<24); code != 0 {
		return unix.Errno(code)
	}
	return nil
}

func datagram(address string) error {
	if address == "" {
		return errAbsent
	}
	c, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte("x"))
	return err
}
