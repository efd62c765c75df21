// Package publicnet says which addresses are on the public internet, for everything that
// acts for a stranger: what a task may reach, and what is fetched for one.
package publicnet

import (
	"net/netip"
	"slices"
)

// Denied are the prefixes that are nobody's on the public internet: the host's own
// networks, metadata services, tunnels that lead back into them, and what is reserved.
func Denied() []netip.Prefix { return slices.Clone(denied) }

var denied = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // carrier-grade NAT, and a cloud's metadata
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, and most clouds' metadata
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments, and a cloud's metadata
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // relays from IPv6
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks: the tasks' own links
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast
	"::/3",            // loopback, IPv4 in IPv6, NAT64
	"2001::/23",       // Teredo, benchmarks, identifiers
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4, which holds any IPv4 address
	"3fff::/20",       // documentation
	"4000::/2", "8000::/2", "c000::/3", "e000::/4", "f000::/5", "f800::/6",
	"fc00::/7",  // unique local
	"fe00::/9",  // reserved
	"fe80::/10", // link-local
	"fec0::/10", // site-local
	"ff00::/8",  // multicast
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

// Has says whether an address is on the public internet. An IPv4 address in IPv6's form
// counts as the IPv4 address.
func Has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsValid() && !slices.ContainsFunc(denied, func(p netip.Prefix) bool { return p.Contains(a) })
}
