package node

import (
	"cmp"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/p2p"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

var _ control.Reach = (*Node)(nil)

// Reach tells how this node is reached, and how each connected peer is.
func (n *Node) Reach() *controlv1.ReachResponse {
	self := n.host.Reachability()
	resp := &controlv1.ReachResponse{
		Reach: reaches[self.Reach], Relays: texts(self.Relays), PublicAddresses: self.Public,
		Tcp: nats[self.TCP], Udp: nats[self.UDP], Serves: self.Serves,
		PrivateNetwork: n.pskTag != nil, PrivateNetworkTag: n.pskTag, Loopback: n.host.LoopbackOnly(),
	}
	leases := n.counterparties()
	for _, id := range n.host.Peers() {
		route := n.host.Route(id)
		if route.Way == p2p.WayNone {
			continue // it left meanwhile
		}
		r := &controlv1.Route{
			PeerId: id.String(), Way: ways[route.Way], Inbound: route.Inbound, Transport: route.Transport,
			RttUs: n.host.RTT(id).Microseconds(), Lease: leases[id],
		}
		if route.Via != "" {
			r.Via = route.Via.String()
		}
		resp.Peers = append(resp.Peers, r)
	}
	slices.SortFunc(resp.Peers, func(a, b *controlv1.Route) int {
		if a.Lease != b.Lease {
			return map[bool]int{true: -1, false: 1}[a.Lease]
		}
		return cmp.Or(cmp.Compare(a.RttUs, b.RttUs), cmp.Compare(a.PeerId, b.PeerId))
	})
	return resp
}

var reaches = map[p2p.Reach]controlv1.Reach{
	p2p.ReachPublic:  controlv1.Reach_REACH_PUBLIC,
	p2p.ReachMapped:  controlv1.Reach_REACH_MAPPED,
	p2p.ReachOpen:    controlv1.Reach_REACH_OPEN,
	p2p.ReachRelayed: controlv1.Reach_REACH_RELAYED,
	p2p.ReachNone:    controlv1.Reach_REACH_NONE,
}

var nats = map[p2p.NAT]controlv1.Nat{
	p2p.NATNone:        controlv1.Nat_NAT_NONE,
	p2p.NATSamePort:    controlv1.Nat_NAT_SAME_PORT,
	p2p.NATPortPerPeer: controlv1.Nat_NAT_PORT_PER_PEER,
}

var ways = map[p2p.Way]controlv1.Way{
	p2p.WayLocal:   controlv1.Way_WAY_LOCAL,
	p2p.WayDirect:  controlv1.Way_WAY_DIRECT,
	p2p.WayPunched: controlv1.Way_WAY_PUNCHED,
	p2p.WayRelayed: controlv1.Way_WAY_RELAYED,
}

// counterparties are the peers with whom a lease goes on.
func (n *Node) counterparties() map[peer.ID]bool {
	out := map[peer.ID]bool{}
	for _, j := range n.requester.LiveJobs() {
		if j.LeaseID != "" {
			out[j.Worker] = true
		}
	}
	if n.worker != nil {
		for _, l := range n.worker.Leases() {
			if !l.State.Ended() {
				out[l.Requester] = true
			}
		}
	}
	return out
}

func texts(ids []peer.ID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}

// reachConditions say when strangers cannot come to a machine that lends.
func (n *Node) reachConditions() []*controlv1.Condition {
	if n.worker == nil || n.host.Reachability().Reach != p2p.ReachNone {
		return nil
	}
	return []*controlv1.Condition{{
		Code: "unreachable", Severity: "warning",
		Sentence: "behind a NAT, and no connected node relays: only nodes that this one dials can hire it",
		Remedy:   "forward a port in your router and name it with --listen, or add a --bootstrap node with a public address",
	}}
}
