//go:build linux

package egress

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

type rule []expr.Any

// chains are the rules, in the order in which they are asked. What is not about a task's
// link passes all of them.
func (g *Gate) chains(c *nftables.Conn, t *nftables.Table) {
	guest := c.AddChain(&nftables.Chain{Name: "guest", Table: t})
	hooked := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		return c.AddChain(&nftables.Chain{Name: name, Table: t, Type: kind, Hooknum: hook, Priority: priority})
	}
	input := hooked("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	forward := hooked("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	out := hooked("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	add := func(chain *nftables.Chain, rules ...rule) {
		for _, r := range rules {
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: r})
		}
	}
	add(input, // the host itself, at any of its addresses
		rules(from(linksSet), neighbour(135), accept()),
		rules(from(linksSet), neighbour(136), accept()),
		rules(from(linksSet), reject()))
	add(forward,
		rules(to(linksSet), over(downSet, expr.MetaKeyOIFNAME, expr.LimitTypePktBytes, g.rate), drop()),
		rules(to(linksSet), established(), accept()),
		rules(to(linksSet), drop()), // nobody calls a task, other tasks neither
		rules(from(linksSet), jump("guest")),
		rules(from(uplinkSet), drop())) // we made it forward, for tasks alone
	add(guest, guestRules(g.rate)...)
	add(out,
		rules(four(), source(sourceSet4, false), masquerade()),
		rules(six(), source(sourceSet6, false), masquerade()))
}

// guestRules are for what a task sends to somewhere else than the host.
func guestRules(rate uint64) []rule {
	return []rule{
		rules(four(), source(sourceSet4, true), drop()),
		rules(six(), source(sourceSet6, true), drop()),
		rules(over(upSet, expr.MetaKeyIIFNAME, expr.LimitTypePktBytes, rate), drop()),
		rules(four(), daddr4(1), in(deniedSet4), reject()),
		rules(six(), daddr6(1), in(deniedSet6), reject()),
		rules(notUnicast(), reject()),
		rules(protocol(unix.IPPROTO_TCP), port(), in(mailSet), reject()),
		rules(established(), accept()),
		rules(over(openSet, expr.MetaKeyIIFNAME, expr.LimitTypePkts, openingsRate), drop()),
		rules(from(publicSet), accept()),
		rules(four(), link1(expr.MetaKeyIIFNAME), daddr4(2), in(allowSet4), accept()),
		rules(six(), link1(expr.MetaKeyIIFNAME), daddr6(2), in(allowSet6), accept()),
		rules(reject()),
	}
}

func rules(parts ...rule) (all rule) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// link1 loads the name of an interface. It fills the first register: what is looked up
// together with it goes into the second.
func link1(key expr.MetaKey) rule { return rule{&expr.Meta{Key: key, Register: 1}} }

func in(set string) rule { return rule{&expr.Lookup{SourceRegister: 1, SetName: set}} }

func from(set string) rule { return rules(link1(expr.MetaKeyIIFNAME), in(set)) }
func to(set string) rule   { return rules(link1(expr.MetaKeyOIFNAME), in(set)) }

func equal(load expr.Any, value ...byte) rule {
	return rule{load, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value}}
}

func four() rule { return equal(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, unix.NFPROTO_IPV4) }
func six() rule  { return equal(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, unix.NFPROTO_IPV6) }

func protocol(number byte) rule {
	return equal(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, number)
}

// neighbour is IPv6 finding out who is at the other end of a link.
func neighbour(kind byte) rule {
	return rules(protocol(unix.IPPROTO_ICMPV6),
		equal(&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1}, kind))
}

func network(register, offset, size uint32) rule {
	return rule{&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size}}
}

func daddr4(register uint32) rule { return network(register, 16, 4) }
func daddr6(register uint32) rule { return network(register, 24, 16) }

// source asks whether an address is the sender's own; other: whether it is not.
func source(set string, other bool) rule {
	addr := network(2, 12, 4)
	if set == sourceSet6 {
		addr = network(2, 8, 16)
	}
	return rules(link1(expr.MetaKeyIIFNAME), addr, rule{&expr.Lookup{SourceRegister: 1, SetName: set, Invert: other}})
}

func port() rule {
	return rule{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}}
}

func established() rule {
	return rule{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Xor: make([]byte, 4),
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// notUnicast is the host's own addresses, broadcast and multicast.
func notUnicast() rule {
	return rule{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_UNICAST)},
	}
}

// over is what goes beyond a rate a second; each link has its own count.
func over(set string, key expr.MetaKey, kind expr.LimitType, rate uint64) rule {
	burst := uint32(min(rate/4, 1<<30))
	limit := &expr.Limit{Type: kind, Rate: rate, Over: true, Unit: expr.LimitTimeSecond, Burst: burst}
	return rules(link1(key), rule{&expr.Dynset{SrcRegKey: 1, SetName: set, Operation: unix.NFT_DYNSET_OP_ADD, Exprs: []expr.Any{limit}}})
}

func verdict(kind expr.VerdictKind, chain string) rule {
	return rule{&expr.Verdict{Kind: kind, Chain: chain}}
}

func accept() rule           { return verdict(expr.VerdictAccept, "") }
func drop() rule             { return verdict(expr.VerdictDrop, "") }
func jump(chain string) rule { return verdict(expr.VerdictJump, chain) }
func masquerade() rule       { return rule{&expr.Masq{}} }

// reject says so at once, where to drop would leave the task waiting.
func reject() rule {
	return rule{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
}
