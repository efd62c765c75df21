package node

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/multiformats/go-multiaddr"

	"github.com/rigmesh/rigmesh/p2p"
)

// defaultListen is every IPv4 interface, on ports that are free.
var defaultListen = []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"}

// ports are those of the last start. A node takes them again, so that peers find
// it where it was.
type ports struct {
	TCP int `json:"tcp"`
	UDP int `json:"udp"`
}

// listen makes the host, on the ports of the last start where none is configured.
func (n *Node) listen() error {
	var psk []byte
	if n.cfg.Reach.PSK != "" {
		var err error
		if psk, err = p2p.ReadPSK(n.cfg.Reach.PSK); err != nil {
			return err
		}
		n.pskTag = p2p.PSKTag(psk)
	}
	wanted := n.cfg.Listen
	if len(wanted) == 0 {
		wanted = defaultListen
		if psk != nil {
			wanted = wanted[:1] // QUIC cannot be sealed with the network's key
		}
	}
	last := readPorts(n.path("ports"))
	if last == (ports{}) {
		last = onePort()
	}
	last = last.askedBy(wanted)
	host, err := p2p.New(n.hostConfig(psk, last.into(wanted)))
	if last != (ports{}) && (err != nil || portsOf(host.Addrs()).lack(last)) {
		n.log.Info("ports are taken, using others", "err", err)
		if err == nil {
			_ = host.Close() // it listens on what was left
		}
		host, err = p2p.New(n.hostConfig(psk, wanted))
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", strings.Join(wanted, " "), err)
	}
	n.host = host
	return portsOf(host.Addrs()).write(n.path("ports"))
}

func (n *Node) hostConfig(psk []byte, listen []string) p2p.Config {
	return p2p.Config{
		Key: n.key, Network: n.cfg.Network, Version: n.parts.Version,
		Listen: listen, Bootstrap: n.cfg.Bootstrap, Log: n.log,
		MapPorts: n.cfg.Reach.PortMap, MDNS: n.cfg.Reach.MDNS, RelayBytes: int64(n.cfg.Reach.RelayBytes), PSK: psk,
	}
}

// lack says whether a protocol of the last start has no port now.
func (p ports) lack(last ports) bool {
	return last.TCP != 0 && p.TCP == 0 || last.UDP != 0 && p.UDP == 0
}

// askedBy is p without the port of a protocol of which no address asks for any free one.
func (p ports) askedBy(addrs []string) ports {
	var asked ports
	for _, a := range addrs {
		if strings.HasSuffix(a, "/tcp/0") {
			asked.TCP = p.TCP
		}
		if strings.Contains(a, "/udp/0/") {
			asked.UDP = p.UDP
		}
	}
	return asked
}

// into puts the ports where an address asks for any free one.
func (p ports) into(addrs []string) []string {
	r := strings.NewReplacer("/tcp/0", "/tcp/"+strconv.Itoa(p.TCP), "/udp/0", "/udp/"+strconv.Itoa(p.UDP))
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a
		if strings.HasSuffix(a, "/tcp/0") || strings.Contains(a, "/udp/0/") {
			out[i] = r.Replace(a)
		}
	}
	return out
}

func portsOf(addrs []string) ports {
	var p ports
	for _, a := range addrs {
		m, err := multiaddr.NewMultiaddr(a)
		if err != nil {
			continue
		}
		if v, err := m.ValueForProtocol(multiaddr.P_TCP); err == nil && p.TCP == 0 {
			p.TCP, _ = strconv.Atoi(v)
		}
		if v, err := m.ValueForProtocol(multiaddr.P_UDP); err == nil && p.UDP == 0 {
			p.UDP, _ = strconv.Atoi(v)
		}
	}
	return p
}

// onePort is a number that is free for TCP and UDP, so that one rule in a router or
// firewall is enough; none when there is none at this moment.
func onePort() ports {
	for range 8 {
		l, err := net.ListenTCP("tcp4", nil)
		if err != nil {
			return ports{}
		}
		number := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp4", &net.UDPAddr{Port: number})
		_ = l.Close() // it took no connection
		if err == nil {
			_ = u.Close()
			return ports{TCP: number, UDP: number}
		}
	}
	return ports{}
}

// readPorts gives none when the file is missing or is not one of ours: any port will do.
func readPorts(path string) ports {
	var p ports
	b, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(b, &p) != nil {
		return ports{}
	}
	return p
}

func (p ports) write(path string) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o600)
}
