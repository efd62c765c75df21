//go:build linux

package nat

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/rigmesh/rigmesh/testnet/lab"
)

// Internet is a lab's own. Its namespaces go with the lab.
type Internet struct {
	lab    *lab.Lab
	places int // with a public address
	hubs   []string
}

// New makes an internet with nobody on it: a bridge that stands for the rest.
func New(l *lab.Lab) (*Internet, error) {
	n := &Internet{lab: l}
	core := l.Namespace("core")
	return n, run("ip netns add "+core, "ip -n "+core+" link add world type bridge", "ip -n "+core+" link set world up")
}

// Public adds a host with a public address, and gives its network namespace.
func (n *Internet) Public(name string) (namespace string, err error) {
	ns := n.lab.Namespace(name)
	return ns, run(append([]string{"ip netns add " + ns}, n.plug(ns)...)...)
}

// plug connects a namespace to the internet by an interface called out. Every place has
// a /16 of its own, as different customers have: rules against crowds go by that.
func (n *Internet) plug(ns string) []string {
	n.places++
	core := n.lab.Namespace("core")
	return []string{
		fmt.Sprintf("ip link add out netns %s type veth peer name p%d netns %s", ns, n.places, core),
		fmt.Sprintf("ip -n %s link set p%d master world up", core, n.places),
		fmt.Sprintf("ip -n %s addr add 11.%d.0.1/8 dev out", ns, n.places),
		fmt.Sprintf("ip -n %s link set out up", ns),
		fmt.Sprintf("ip -n %s link set lo up", ns),
	}
}

// Hosts are the names of a site's hosts: that of the site, and numbers when there are
// several.
func Hosts(site string, count int) []string {
	if count == 1 {
		return []string{site}
	}
	var names []string
	for i := range count {
		names = append(names, fmt.Sprintf("%s%d", site, i+1))
	}
	return names
}

// Site adds a site with some hosts, and gives their network namespaces, named as Hosts
// names them. Without a router every host has a public address of its own.
func (n *Internet) Site(name string, k Kind, hosts int) (namespaces []string, err error) {
	if k == None {
		for _, host := range Hosts(name, hosts) {
			ns, err := n.Public(host)
			if err != nil {
				return nil, err
			}
			namespaces = append(namespaces, ns)
		}
		return namespaces, nil
	}
	router := n.lab.Namespace(name + "-router")
	script := append([]string{"ip netns add " + router}, n.plug(router)...)
	script = append(script,
		"ip -n "+router+" link add lan type bridge",
		"ip -n "+router+" addr add 192.168.1.1/24 dev lan",
		"ip -n "+router+" link set lan up",
		"nsenter --net=/run/netns/"+router+" sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'",
		fmt.Sprintf("nsenter --net=/run/netns/%s nft -f - <<'END'\n%sEND", router, k.rules()))
	for i, host := range Hosts(name, hosts) {
		ns := n.lab.Namespace(host)
		namespaces = append(namespaces, ns)
		script = append(script,
			"ip netns add "+ns,
			fmt.Sprintf("ip link add eth0 netns %s type veth peer name h%d netns %s", ns, i, router),
			fmt.Sprintf("ip -n %s link set h%d master lan up", router, i),
			fmt.Sprintf("ip -n %s addr add 192.168.1.%d/24 dev eth0", ns, i+2),
			fmt.Sprintf("ip -n %s link set eth0 up", ns),
			fmt.Sprintf("ip -n %s link set lo up", ns),
			fmt.Sprintf("ip -n %s route add default via 192.168.1.1", ns))
	}
	return namespaces, run(script...)
}

// run has a shell run commands, up to the first that fails.
func run(commands ...string) error {
	out, err := exec.Command("sh", "-ec", strings.Join(commands, "\n")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make the lab's network: %w: %s", err, out)
	}
	return nil
}
