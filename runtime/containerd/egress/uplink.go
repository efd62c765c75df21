//go:build linux

package egress

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// letAnswersIn makes the host's way out forward what comes in by it, if it does not yet;
// for whom, the table says. IPv6 is left as it is: to forward it, a host would no longer
// hear its own router.
func (g *Gate) letAnswersIn() error {
	routes, err := netlink.RouteGet(net.IPv4(1, 1, 1, 1))
	if err != nil || len(routes) == 0 {
		return nil // no way out at the moment
	}
	out, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return err
	}
	name := out.Attrs().Name
	if b, err := os.ReadFile(forwardingFile(name)); err != nil || strings.TrimSpace(string(b)) == "1" {
		return err
	}
	if err := g.forwards(name); err != nil { // first: the rules are there before the first packet
		return err
	}
	if err := os.WriteFile(forwardingFile(name), []byte("1"), 0); err != nil {
		return err
	}
	g.uplinks[name] = true
	return nil
}

// forwards notes an interface that forwards because we told it to.
func (g *Gate) forwards(name string) error {
	return g.change(func(c *nftables.Conn) error {
		return c.SetAddElements(g.set(uplinkSet), []nftables.SetElement{{Key: linkKey(name)}})
	})
}

// learnUplinks takes over what a gate before us noted.
func (g *Gate) learnUplinks(c *nftables.Conn) error {
	if len(g.uplinks) > 0 {
		return nil
	}
	noted, err := c.GetSetElements(g.set(uplinkSet))
	if err != nil {
		return err
	}
	for _, e := range noted {
		g.uplinks[strings.TrimRight(string(e.Key), "\x00")] = true
	}
	return nil
}

// dropTable takes the table away, and puts interfaces back as they were.
func (g *Gate) dropTable() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	if there, err := g.hasTable(c); !there || err != nil {
		return err
	}
	if err := g.learnUplinks(c); err != nil {
		return err
	}
	for name := range g.uplinks {
		if err := os.WriteFile(forwardingFile(name), []byte("0"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	clear(g.uplinks)
	c.DelTable(g.table())
	return c.Flush()
}

func forwardingFile(name string) string {
	return filepath.Join("/proc/sys/net/ipv4/conf", name, "forwarding")
}
