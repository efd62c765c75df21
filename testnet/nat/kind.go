//go:build linux

// Package nat makes an internet of network namespaces for a lab: public hosts, and
// sites behind routers that translate addresses as home and office routers do.
//
// Its addresses look public (11.0.0.0/8), because libp2p believes no others, and no
// route leads out of it.
package nat

import (
	"fmt"
	"strings"
)

// Kind is how a site's router treats what comes from outside.
type Kind uint8

// The kinds of RFC 3489, and an office that passes no UDP.
const (
	None              Kind = iota // no router: a public address
	FullCone                      // a port that was used once is open to everybody
	AddressRestricted             // it is open to hosts that were sent something
	PortRestricted                // it is open to the ports that were sent something
	Symmetric                     // the same, and every destination sees another port
	UDPBlocked                    // port restricted, and no UDP at all
)

// Kinds are all of them, the most open first.
var Kinds = []Kind{None, FullCone, AddressRestricted, PortRestricted, Symmetric, UDPBlocked}

var names = [...]string{"none", "full-cone", "address-restricted", "port-restricted", "symmetric", "udp-blocked"}

func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Parse reads a kind by its name.
func Parse(name string) (Kind, error) {
	for i, n := range names {
		if n == name {
			return Kind(i), nil
		}
	}
	return 0, fmt.Errorf("no NAT is called %q: want one of %s", name, strings.Join(names[:], ", "))
}

// Meet says whether two nodes behind such routers can have a direct connection, with
// a relay's help for the beginning.
func Meet(a, b Kind) bool {
	a, b = min(a, b), max(a, b)
	switch {
	case a <= FullCone:
		return true // one of the two is open to everybody
	case b == Symmetric:
		return a == AddressRestricted // let in from whatever port
	case a == Symmetric:
		return false // TCP has another port for everybody, too
	}
	return true // both can say which port is theirs
}

// rules are the router's, for nft. out leads to the internet, lan to the site. What
// nobody asked for is dropped and not refused, as a home router does: a refusal would
// end a connection that the other side is about to open.
//
// Linux translates as a port restricted router does. It has no cones: those are made
// of maps and sets that remember who used a port, and whom it was used for.
func (k Kind) rules() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("table ip site {")
	if k.cone() {
		for _, p := range []string{"tcp", "udp"} {
			line("map inside_%s { type inet_service : ipv4_addr; flags dynamic; size 65535; }", p)
			line("set seen_%s { type ipv4_addr . inet_service; flags dynamic; size 65535; }", p)
		}
		line("chain prerouting { type nat hook prerouting priority dstnat;")
		for _, p := range []string{"tcp", "udp"} {
			from := ""
			if k == AddressRestricted {
				from = fmt.Sprintf("ip saddr . %s dport @seen_%s ", p, p)
			}
			line(`iifname "out" meta l4proto %s %sdnat ip to %s dport map @inside_%s`, p, from, p, p)
		}
		line("}")
	}
	line("chain postrouting { type nat hook postrouting priority srcnat;")
	if k.cone() {
		for _, p := range []string{"tcp", "udp"} {
			line(`oifname "out" meta l4proto %s update @inside_%s { %s sport : ip saddr }`, p, p, p)
			line(`oifname "out" meta l4proto %s update @seen_%s { ip daddr . %s sport }`, p, p, p)
		}
	}
	random := ""
	if k == Symmetric {
		random = " random,fully-random"
	}
	line(`oifname "out" masquerade%s`, random)
	line("}")
	line("chain forward { type filter hook forward priority filter; policy drop;")
	if k == UDPBlocked {
		line("meta l4proto udp drop")
	}
	line(`ct state established,related accept`)
	line(`iifname "lan" oifname "out" accept`)
	line("ct status dnat accept")
	line("}")
	line(`chain input { type filter hook input priority filter; policy drop; iifname "lan" accept; }`)
	line("}")
	return b.String()
}

func (k Kind) cone() bool { return k == FullCone || k == AddressRestricted }
