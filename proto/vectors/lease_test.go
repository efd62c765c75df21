package vectors

import (
	"bytes"
	"encoding/hex"
	"math/big"
)

// lease is what is known of a lease while it is checked.
type lease struct {
	terms      message
	id, head   hash
	head0      hash
	beat, ack  message
	close      message
	both       bool
	attests    []message
	sealed     bool
	witnessed  bool
	creditMS   uint64
	amount     uint64
	level      string
	beatsCount uint64
}

// says are the parts of "says" in the vectors that follow from a receipt.
func (l *lease) says() map[string]any {
	return map[string]any{
		"lease": hex.EncodeToString(l.id[:]), "level": l.level, "credit_ms": l.creditMS, "amount": l.amount,
		"beats": l.beatsCount, "price": l.terms.num(9), "simulated": l.terms.num(25) == 1, "network": string(l.terms.raw(2)),
	}
}

// openTerms is SPEC.md, "Receipt", 1 and 2.
func openTerms(m message) *lease {
	payload, byWorker, byRequester := m.raw(2), m.raw(3), m.raw(4)
	must(len(payload) > 0 && len(payload) <= maxSize["terms"], "terms: size")
	t := parse("Terms", payload, false)
	must(t.num(1) == 1, "terms: version")
	checkSignature("terms", payload, byWorker, t.raw(3))
	checkSignature("terms", payload, byRequester, t.raw(4))
	l := &lease{terms: t, id: ofPayload("lease", payload), sealed: t.num(17) != 0, witnessed: len(t.raws(20)) > 0}
	l.head0 = tagged("head0", l.id[:], byWorker, byRequester)
	l.head = l.head0
	must(len(t.raws(8)) > 0 && len(t.raws(8)) <= 64 && t.time(11) >= 100 && t.time(16) >= 1000, "terms: rules")
	return l
}

func verifyReceipt(m message) *lease {
	l := openTerms(m)
	l.level = "last-ack"
	if m.sub(5) != nil || m.sub(6) != nil {
		l.pair(m.sub(5), m.sub(6))
		l.creditMS, l.amount, l.beatsCount = l.beat.num(12), l.beat.num(13), l.beat.num(3)+1
	}
	if len(m.raw(7)) > 0 || len(m.raw(8)) > 0 || len(m.raw(9)) > 0 {
		l.closing(m)
	}
	must(l.beat != nil || l.close != nil, "nothing came of the terms")
	l.witnesses(m)
	return l
}

// pair is SPEC.md, "Receipt", 3.
func (l *lease) pair(beat, ack message) {
	b := openSigned("beat", beat, l.terms.raw(3))
	a := openSigned("ack", ack, l.terms.raw(4))
	for _, n := range []int32{2, 5, 6, 11} {
		must(len(b.raw(num(n))) == 32, "beat: a hash")
	}
	l.optional(b.raw(7), l.witnessed, "witness_root")
	l.optional(b.raw(15), l.sealed && b.num(3) > 0, "prev_seal")
	must(b.num(9) == 0 && b.num(4) >= b.num(3) && b.sub(10) != nil && b.time(14) >= 0, "beat: fields")
	l.mine(b)
	l.price(b.num(12), b.num(13))
	must(b.num(3) > 0 || bytes.Equal(b.raw(5), l.head[:]), "beat: head 0")
	h := ofPayload("beat", beat.raw(2))
	must(bytes.Equal(a.raw(5), h[:]) && a.num(3) == b.num(3) && a.num(4) == b.num(4) && a.num(8) == b.num(12), "ack: of another beat")
	l.mine(a)
	l.price(a.num(8), a.num(9))
	l.verdict(a)
	of := ofPayload("ack", ack.raw(2))
	l.beat, l.ack = b, a
	l.head = tagged("head", h[:], beat.raw(3), of[:], ack.raw(3))
}

func (l *lease) verdict(a message) {
	last := uint64(0)
	for _, v := range a[12] {
		must(v.(uint64) > last, "ack: mismatches")
		last = v.(uint64)
	}
	must(a.num(6) == 1 && last == 0 || a.num(6) == 2 && last > 0, "ack: verdict")
}

// closing is SPEC.md, "Receipt", 4.
func (l *lease) closing(m message) {
	c := open("close", m.raw(7), m.raw(8), l.terms.raw(3))
	l.level = "worker"
	if len(m.raw(9)) > 0 {
		checkSignature("close", m.raw(7), m.raw(9), l.terms.raw(4))
		l.level, l.both = "both", true
	}
	must(len(c.raw(4)) == 32 && len(c.raw(12)) == 32 && c.num(9) > 0 && c.time(11) >= 0, "close: fields")
	must(c.sub(7) != nil && c.sub(7).num(1) <= 255 && c.sub(7).num(2) <= 64, "close: exit")
	l.optional(c.raw(8), true, "outputs_digest")
	l.optional(c.raw(10), l.sealed && c.num(3) > 0, "last_seal")
	l.mine(c)
	l.price(c.num(5), c.num(6))
	beats, credit := uint64(0), uint64(0)
	if l.beat != nil {
		beats, credit = l.beat.num(3)+1, l.beat.num(12)
	}
	must(c.num(3) == beats && bytes.Equal(c.raw(4), l.head[:]) && c.num(5) >= credit, "close: does not follow")
	l.close = c
	if l.both {
		l.creditMS, l.amount = c.num(5), c.num(6)
	}
}

func (l *lease) optional(h []byte, allowed bool, what string) {
	must(len(h) == 0 || allowed && len(h) == 32, what)
}

func (l *lease) mine(m message) { must(bytes.Equal(m.raw(2), l.id[:]), "of another lease") }

// price is SPEC.md, "Money".
func (l *lease) price(creditMS, amount uint64) {
	n := new(big.Int).SetUint64(creditMS)
	n.Mul(n, new(big.Int).SetUint64(l.terms.num(9)))
	n.Mul(n, big.NewInt(int64(len(l.terms.raws(8)))))
	n.Div(n, big.NewInt(3_600_000))
	must(n.IsUint64() && n.Uint64() == amount && amount <= l.terms.num(10) && creditMS <= l.terms.num(16), "amount")
}

// witnesses is SPEC.md, "Receipt", 6.
func (l *lease) witnesses(m message) {
	hashes, used := m.raws(12), map[uint64]bool{}
	for _, w := range m.subs(11) {
		a := l.attest(w.raw(1), w.raw(2))
		if n := len(l.attests); n > 0 {
			b := l.attests[n-1]
			must(a.num(5) > b.num(5) || a.num(5) == b.num(5) && a.num(3) > b.num(3), "attest: order")
		}
		must(l.beat != nil && a.num(5) <= l.beat.num(3) && a.num(8) <= l.beat.num(12), "attest: of more than was co-signed")
		var path []hash
		for _, at := range w[3] {
			must(at.(uint64) < uint64(len(hashes)) && len(hashes[at.(uint64)]) == 32, "attest: path")
			used[at.(uint64)] = true
			path = append(path, hash(hashes[at.(uint64)]))
		}
		if a.num(5) == l.beat.num(3) {
			must(len(path) == 0 && bytes.Equal(a.raw(6), l.head[:]), "attest: last head")
		} else {
			must(included(leaf(a.raw(6)), a.num(5)+1, l.beat.num(3)+1, path, hash(l.beat.raw(11))), "attest: not in the tree")
		}
		l.attests = append(l.attests, a)
	}
	seen := map[string]bool{}
	for i, h := range hashes {
		must(len(h) == 32 && used[uint64(i)] && !seen[string(h)], "hashes")
		seen[string(h)] = true
	}
}

func (l *lease) attest(payload, signature []byte) message {
	place := parse("Attest", payload, false).num(3)
	must(place < uint64(len(l.terms.raws(20))), "attest: no such witness")
	a := open("attest", payload, signature, l.terms.raws(20)[place])
	must(len(a.raw(6)) == 32 && len(a.raw(7)) == 32, "attest: hashes")
	must(a.num(12) > 0 == (len(a.raw(13)) == 32) && len(a.raw(13))%32 == 0, "attest: previous")
	must(a.time(9) >= 0 && a.time(9) <= a.time(10) && a.time(10) <= a.time(11), "attest: times")
	l.mine(a)
	return a
}
