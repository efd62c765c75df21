//go:build linux

package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// link is the two ends of one task's way out. Its addresses are of no network that
// anybody has: benchmarks' for IPv4, a random unique local one for IPv6.
type link struct {
	slot       uint16
	name       string // of the host's end
	host, task [2]netip.Prefix
}

const linkPrefix = "rmesh"

func linkOf(slot uint16) link {
	four := func(last byte) netip.Prefix {
		n := uint32(slot)*4 + uint32(last)
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18 + byte(n>>16), byte(n >> 8), byte(n)}), 30)
	}
	six := func(last byte) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x72, 0x6d, 0x65, 0x73, 0x68, byte(slot >> 8), byte(slot), 15: last}), 126)
	}
	return link{slot: slot, name: fmt.Sprintf("%s%04x", linkPrefix, slot),
		host: [2]netip.Prefix{four(1), six(1)}, task: [2]netip.Prefix{four(2), six(2)}}
}

// taskEnd is what the task calls its end.
const taskEnd = "eth0"

// plug puts the link between this network namespace and that of a process.
func (l link) plug(pid int, alias string) error {
	if old, err := netlink.LinkByName(l.name); err == nil {
		if old.Attrs().Alias != alias {
			return fmt.Errorf("%s is there already: %q", l.name, old.Attrs().Alias)
		}
		return nil
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = l.name
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: taskEnd, PeerNamespace: netlink.NsPid(pid)}); err != nil {
		return err
	}
	err := l.configure(pid, alias)
	if err != nil {
		_ = l.remove()
	}
	return err
}

func (l link) configure(pid int, alias string) error {
	end, err := netlink.LinkByName(l.name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetAlias(end, alias); err != nil {
		return err
	}
	for file, value := range map[string]string{"ipv4/conf/%s/forwarding": "1", "ipv6/conf/%s/accept_ra": "0"} {
		path := filepath.Join("/proc/sys/net", fmt.Sprintf(file, l.name))
		if err := os.WriteFile(path, []byte(value), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	here, err := netlink.NewHandle()
	if err != nil {
		return err
	}
	defer here.Close()
	if err := bringUp(here, end, l.host, nil); err != nil {
		return fmt.Errorf("host's end: %w", err)
	}
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	there, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer there.Close()
	other, err := there.LinkByName(taskEnd)
	if err != nil {
		return err
	}
	if err := bringUp(there, other, l.task, l.host[:]); err != nil {
		return fmt.Errorf("task's end: %w", err)
	}
	return nil
}

// bringUp gives one end its addresses, and a way by the other end. Without IPv6 in the
// kernel it has IPv4 alone.
func bringUp(h *netlink.Handle, end netlink.Link, own [2]netip.Prefix, via []netip.Prefix) error {
	if err := h.LinkSetUp(end); err != nil {
		return err
	}
	for i, p := range own {
		address := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
		if p.Addr().Is6() {
			address.Flags = unix.IFA_F_NODAD
		}
		err := h.AddrAdd(end, address)
		if err == nil && via != nil {
			err = h.RouteAdd(&netlink.Route{LinkIndex: end.Attrs().Index, Gw: via[i].Addr().AsSlice()})
		}
		if err != nil && (p.Addr().Is4() || !noIPv6(err)) {
			return err
		}
	}
	return nil
}

func noIPv6(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)
}

// unplug removes the link if it is the task's.
func (l link) unplug(alias string) error {
	old, err := netlink.LinkByName(l.name)
	if errors.As(err, &netlink.LinkNotFoundError{}) || err == nil && old.Attrs().Alias != alias {
		return nil
	}
	if err != nil {
		return err
	}
	return l.remove()
}

func (l link) remove() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = l.name
	err := netlink.LinkDel(&netlink.Veth{LinkAttrs: attrs})
	if errors.Is(err, unix.ENODEV) {
		return nil // it went with the task's namespace
	}
	return err
}

// ownLinks are the links of a node's tasks, by task.
func ownLinks(name string) (map[string]uint16, error) {
	all, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	found := make(map[string]uint16)
	for _, l := range all {
		id, ours := strings.CutPrefix(l.Attrs().Alias, name+"/")
		text, named := strings.CutPrefix(l.Attrs().Name, linkPrefix)
		slot, err := strconv.ParseUint(text, 16, 16)
		if ours && named && err == nil {
			found[id] = uint16(slot)
		}
	}
	return found, nil
}
