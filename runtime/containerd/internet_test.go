//go:build linux

package containerd

import (
	"net"
	"net/netip"
	"os"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// makeInternet joins this namespace, which is to be the test's own, to another that has
// all addresses a task may try to reach. It ends with the process.
func makeInternet(t *testing.T) {
	t.Helper()
	ns, listening := make(chan netns.NsHandle), make(chan error)
	go func() {
		goruntime.LockOSThread() // for good: the namespace lives as long as the thread and its sockets
		h, err := netns.New()
		if err != nil {
			ns <- netns.None()
			return
		}
		ns <- h
		<-listening // until it has its addresses
		listening <- serveAll("0.0.0.0", "::")
	}()
	far := <-ns
	if !far.IsOpen() {
		t.Fatal("no second network namespace")
	}
	here, err := netlink.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	there, err := netlink.NewHandleAt(far)
	if err != nil {
		t.Fatal(err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "up0"
	if err := here.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "inet0", PeerNamespace: netlink.NsFd(far)}); err != nil {
		t.Fatal(err)
	}
	give(t, here, "lo")
	give(t, here, "up0", "11.0.0.2/24", "10.1.2.2/24", "2a11::2/64")
	give(t, there, "inet0", "11.0.0.1/24", "11.0.0.9/24", "10.1.2.1/24", "10.1.2.3/24", "2a11::1/64", "2a11::9/64")
	give(t, there, "lo", farAddresses()...)
	up, err := here.LinkByName("up0")
	if err != nil {
		t.Fatal(err)
	}
	for _, via := range []string{"11.0.0.1", "2a11::1"} {
		if err := here.RouteAdd(&netlink.Route{LinkIndex: up.Attrs().Index, Gw: net.ParseIP(via)}); err != nil {
			t.Fatal(err)
		}
	}
	// Without it there is no IPv6 for tasks, and nothing to deny.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	listening <- nil
	if err := <-listening; err != nil {
		t.Fatal(err)
	}
	if err := serveAll("0.0.0.0", "::"); err != nil { // the host's own
		t.Fatal(err)
	}
}

// farAddresses are those of the targets that are nowhere else.
func farAddresses() (all []string) {
	seen := map[string]bool{}
	for _, a := range forbidden {
		host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(a.where, "tcp:"), "udp:"), ":"+port)
		addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil || addr.Is4In6() || addr.IsMulticast() || addr.Zone() != "" || seen[host] {
			continue
		}
		if text := addr.String(); strings.HasPrefix(text, "11.") || strings.HasPrefix(text, "10.") || strings.HasPrefix(text, "2a11:") || text == "255.255.255.255" {
			continue
		}
		seen[host] = true
		all = append(all, netip.PrefixFrom(addr, addr.BitLen()).String())
	}
	return all
}

// give brings an interface up with these addresses.
func give(t *testing.T, h *netlink.Handle, name string, addresses ...string) {
	t.Helper()
	link, err := h.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
	for _, text := range addresses {
		a, err := netlink.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrAdd(link, a); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// serveAll takes every connection and answers every datagram, in the network namespace
// of the calling thread.
func serveAll(addresses ...string) error {
	for _, address := range addresses {
		for _, p := range []string{port, "25", "465", "587"} {
			l, err := listenOnly("tcp", net.JoinHostPort(address, p))
			if err != nil {
				return err
			}
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_ = c.Close()
				}
			}()
		}
		network := "udp6"
		if address == "0.0.0.0" {
			network = "udp4"
		}
		c, err := net.ListenPacket(network, net.JoinHostPort(address, port))
		if err != nil {
			return err
		}
		go func() {
			b := make([]byte, 64)
			for {
				n, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = c.WriteTo(b[:n], from)
			}
		}()
	}
	return nil
}

// listenOnly listens on IPv4 or IPv6 alone.
func listenOnly(network, address string) (net.Listener, error) {
	if strings.HasPrefix(address, "[") {
		return net.Listen(network+"6", address)
	}
	return net.Listen(network+"4", address)
}
