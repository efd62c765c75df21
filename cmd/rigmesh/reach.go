package main

import (
	"fmt"
	"strings"
	"time"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// maxRoutes is how many peers status lists; --json has all.
const maxRoutes = 8

// printReach says how the node is reached, and how it reaches its peers.
func printReach(k console, r *controlv1.ReachResponse) {
	fmt.Fprintf(k.out, "%-10s %s\n", "reached", reached(r))
	for i, p := range r.Peers {
		name := []string{"peers", ""}[min(i, 1)]
		if i == maxRoutes {
			fmt.Fprintf(k.out, "%-10s and %d more: rigmesh status --json\n", name, len(r.Peers)-i)
			return
		}
		fmt.Fprintf(k.out, "%-10s %s %s\n", name, shortPeer(p.PeerId), routed(p))
	}
}

// reached says in plain words how strangers come to the node.
func reached(r *controlv1.ReachResponse) string {
	says := "not known yet: no node outside has told"
	switch {
	case r.Loopback:
		return "on this machine alone: it listens on loopback"
	case r.Reach == controlv1.Reach_REACH_PUBLIC:
		says = "directly, at a public address of this machine"
	case r.Reach == controlv1.Reach_REACH_MAPPED:
		says = "directly, at a port that your router forwards (UPnP or NAT-PMP)"
	case r.Reach == controlv1.Reach_REACH_OPEN:
		says = "directly: your NAT lets everybody in"
	case r.Reach == controlv1.Reach_REACH_RELAYED:
		says = "through " + relayNames(r.Relays) + ", then directly where the NATs allow it"
	case r.Reach == controlv1.Reach_REACH_NONE:
		says = "by nobody outside: behind a NAT, and no relay found yet"
	}
	if r.Serves {
		says += "; relays for others"
	}
	return says
}

func relayNames(ids []string) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = shortPeer(id)
	}
	if len(names) == 1 {
		return "relay " + names[0]
	}
	return "relays " + strings.Join(names, " and ")
}

// routed says in plain words how a peer is reached.
func routed(p *controlv1.Route) string {
	over := map[string]string{"tcp": "TCP", "quic": "QUIC"}[p.Transport]
	says := "not connected"
	switch p.Way {
	case controlv1.Way_WAY_LOCAL:
		says = "on the local network, " + over
	case controlv1.Way_WAY_DIRECT:
		says = "directly, " + over
	case controlv1.Way_WAY_PUNCHED:
		says = "directly, punched through the NATs, " + over
	case controlv1.Way_WAY_RELAYED:
		says = "through relay " + shortPeer(p.Via)
	}
	if p.RttUs > 0 {
		says += fmt.Sprintf(", %.3g ms", (time.Duration(p.RttUs)*time.Microsecond).Seconds()*1000)
	}
	if p.Lease {
		says += ", has a lease"
	}
	return says
}

// natSeen says what doctor saw of the NAT.
func natSeen(r *controlv1.ReachResponse) string {
	said := func(name string, n controlv1.Nat) string {
		return name + ": " + map[controlv1.Nat]string{
			controlv1.Nat_NAT_UNSPECIFIED:   "too few peers outside to tell",
			controlv1.Nat_NAT_NONE:          "no NAT",
			controlv1.Nat_NAT_SAME_PORT:     "a NAT with one port for all, which can be punched",
			controlv1.Nat_NAT_PORT_PER_PEER: "a NAT with a port for each peer, which cannot",
		}[n]
	}
	return said("UDP", r.Udp) + "; " + said("TCP", r.Tcp)
}

// reachView is all of it as --json prints it.
type reachView struct {
	Reached string      `json:"reached"` // public, mapped, open, relayed, none, loopback or unknown
	Relays  []string    `json:"relays"`
	Public  []string    `json:"public_addresses"`
	TCP     string      `json:"tcp_nat"` // none, same-port, port-per-peer or unknown
	UDP     string      `json:"udp_nat"`
	Serves  bool        `json:"relays_for_others"`
	Private bool        `json:"private_network"`
	Peers   []routeView `json:"peers"`
}

type routeView struct {
	PeerID    string  `json:"peer_id"`
	Way       string  `json:"way"` // local, direct, punched or relayed
	Via       string  `json:"via,omitempty"`
	Inbound   bool    `json:"inbound"`
	Transport string  `json:"transport"`
	RTT       float64 `json:"rtt_ms,omitempty"`
	Lease     bool    `json:"lease"`
}

func viewReach(r *controlv1.ReachResponse) reachView {
	v := reachView{
		Reached: word(r.Reach.String(), "REACH_"), Relays: append([]string{}, r.Relays...), Public: append([]string{}, r.PublicAddresses...),
		TCP: word(r.Tcp.String(), "NAT_"), UDP: word(r.Udp.String(), "NAT_"),
		Serves: r.Serves, Private: r.PrivateNetwork, Peers: []routeView{},
	}
	if r.Loopback {
		v.Reached = "loopback"
	}
	for _, p := range r.Peers {
		v.Peers = append(v.Peers, routeView{
			PeerID: p.PeerId, Way: word(p.Way.String(), "WAY_"), Via: p.Via, Inbound: p.Inbound,
			Transport: p.Transport, RTT: float64(p.RttUs) / 1000, Lease: p.Lease,
		})
	}
	return v
}

// word makes "PORT_PER_PEER" of an enum into "port-per-peer".
func word(name, prefix string) string {
	if name = strings.TrimPrefix(name, prefix); name == "UNSPECIFIED" {
		return "unknown"
	}
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}
