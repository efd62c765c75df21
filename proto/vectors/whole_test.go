package vectors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"os"

	"google.golang.org/protobuf/encoding/protowire"
)

func num(n int32) protowire.Number { return protowire.Number(n) }

// verifyWhole is SPEC.md, "Whole leases". Summaries of samples are not worked out here.
func verifyWhole(m message) map[string]any {
	must(m.sub(2) != nil, "no receipt")
	l := verifyReceipt(m.sub(2))
	links := m.sub(3).subs(1)
	at := &lease{terms: l.terms, id: l.id, head: l.head0, sealed: l.sealed, witnessed: l.witnessed}
	heads := [][]byte{bytes.Clone(l.head0[:])}
	var beats []message
	var hashes []hash
	for i, link := range links {
		was := at.head
		at.pair(link.sub(1), link.sub(2))
		b, r := at.beat, root(heads)
		must(b.num(3) == uint64(i) && bytes.Equal(b.raw(5), was[:]) && bytes.Equal(b.raw(11), r[:]), "beat: does not follow")
		if i > 0 {
			must(b.num(4) > beats[i-1].num(4) && b.num(12) >= beats[i-1].num(12), "beat: interval or credit")
		}
		heads = append(heads, bytes.Clone(at.head[:]))
		beats, hashes = append(beats, b), append(hashes, ofPayload("beat", link.sub(1).raw(2)))
	}
	must(at.head == l.head, "the chain ends elsewhere")
	if r := root(heads); l.close != nil {
		must(bytes.Equal(l.close.raw(12), r[:]), "close: tree_root")
	}
	fold := m.sub(3).sub(2)
	var starts, answers []*big.Int
	var about []byte
	for i, link := range links {
		s := link.sub(3)
		if name := nameOf(l, beats, i); s == nil || len(name) == 0 {
			continue // one that nobody names counts for nothing
		} else if h := tagged("seal", s.raw(3)); !bytes.Equal(h[:], name) {
			panic(refusal("seal: not the one named"))
		}
		if fold == nil {
			l.seal(s, startOf(hashes[i]))
			continue
		}
		must(inForm(s.raw(3)), "seal: form")
		starts, answers = append(starts, startOf(hashes[i])), append(answers, new(big.Int).SetBytes(s.raw(3)))
		about = append(append(about, hashes[i][:]...), s.raw(3)...)
	}
	if fold != nil {
		must(len(starts) > 0, "fold: of nothing")
		w := l.weights(about, len(starts))
		must(bytes.Equal(folded(answers, w).FillBytes(make([]byte, 256)), fold.raw(3)), "fold: of other seals")
		l.seal(fold, folded(starts, w))
	}
	l.opened(m.subs(5), beats)
	return l.says()
}

// nameOf is the hash by which the chain names a seal.
func nameOf(l *lease, beats []message, i int) []byte {
	if i+1 < len(beats) {
		return beats[i+1].raw(15)
	}
	return l.close.raw(10)
}

// opened holds samples against the roots in the beats and in the close.
func (l *lease) opened(opened []message, beats []message) {
	all := append(beats, message{10: []any{message(nil)}})
	if e := l.close.sub(13); e != nil {
		all[len(all)-1] = message{10: []any{e}}
	}
	next := uint64(0)
	for _, o := range opened {
		must(o.num(1) >= next && o.num(1) < uint64(len(all)), "samples: of no beat")
		next = o.num(1) + 1
		e, samples := all[o.num(1)].sub(10), o.raws(2)
		must(uint64(len(samples)) == e.num(8) && len(samples) > 0, "samples: how many")
		r := root(samples)
		must(bytes.Equal(r[:], e.raw(9)), "samples: root")
	}
}

// seal is SPEC.md, "Seals", from x.
func (l *lease) seal(s message, x *big.Int) {
	y, pi := s.raw(3), s.raw(4)
	must(inForm(y) && inForm(pi), "seal: form")
	header := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(l.terms.num(19))), l.terms.num(18))
	transcript := tagged("seal-proof", header, x.FillBytes(make([]byte, 256)), y)
	must(s.num(5) < 1<<16, "seal: prime_counter")
	candidate := tagged("seal-prime", transcript[:], binary.BigEndian.AppendUint32(nil, uint32(s.num(5))))
	candidate[0] |= 0x80
	candidate[31] |= 1
	prime := new(big.Int).SetBytes(candidate[:])
	must(prime.ProbablyPrime(0), "seal: prime")
	r := new(big.Int).Exp(big.NewInt(2), new(big.Int).SetUint64(l.terms.num(18)), prime)
	got := new(big.Int).Exp(new(big.Int).SetBytes(pi), prime, modulus)
	got.Mul(got, new(big.Int).Exp(x, r, modulus)).Mod(got, modulus)
	must(smaller(got).Cmp(new(big.Int).SetBytes(y)) == 0, "seal: proof")
}

// weights are w_i of SPEC.md, "One proof for all". Of each beat 288 bytes are handed in.
func (l *lease) weights(about []byte, n int) (w []*big.Int) {
	all := tagged("seal-fold", binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(l.terms.num(19))), l.terms.num(18)))
	for i := range n {
		all = tagged("seal-fold", all[:], about[i*288:(i+1)*288])
	}
	for i := range n {
		h := tagged("seal-weight", all[:], binary.BigEndian.AppendUint64(nil, uint64(i)))
		w = append(w, new(big.Int).SetBytes(h[:16]))
	}
	return w
}

// folded is the product of numbers, each raised to its weight, in the one form.
func folded(of, weights []*big.Int) *big.Int {
	product := big.NewInt(1)
	for i, x := range of {
		product.Mul(product, new(big.Int).Exp(x, weights[i], modulus)).Mod(product, modulus)
	}
	return smaller(product)
}

// startOf is x.
func startOf(beat hash) *big.Int {
	seed := tagged("seal-seed", beat[:])
	var wide []byte
	for i := range byte(9) {
		h := tagged("seal-x", seed[:], []byte{i})
		wide = append(wide, h[:]...)
	}
	x := new(big.Int).SetBytes(wide)
	return smaller(x.Mod(x, modulus))
}

// smaller is the smaller of x and N - x.
func smaller(x *big.Int) *big.Int {
	if other := new(big.Int).Sub(modulus, x); other.Cmp(x) < 0 {
		return other
	}
	return x
}

func inForm(b []byte) bool {
	v := new(big.Int).SetBytes(b)
	return len(b) == 256 && v.Cmp(big.NewInt(2)) >= 0 && v.Cmp(new(big.Int).Rsh(modulus, 1)) <= 0
}

// verifyEquivocation is SPEC.md, "Equivocation".
func verifyEquivocation(m message) map[string]any {
	l := openTerms(m)
	typ, role, slot, one := l.statement(m.sub(5))
	typ2, _, slot2, two := l.statement(m.sub(6))
	must(typ == typ2 && slot == slot2, "not one slot")
	must(!bytes.Equal(one, two), "both say the same")
	return map[string]any{"role": role, "type": typ}
}

// statement gives what a statement is for, and what it says there.
func (l *lease) statement(s message) (typ, role string, slot [2]uint64, says []byte) {
	must(s != nil, "no statement")
	switch typ = string(s.raw(1)); typ {
	case "beat":
		m := openSigned(typ, s, l.terms.raw(3))
		l.mine(m)
		return typ, "worker", [2]uint64{m.num(4)}, s.raw(2)
	case "ack":
		m := openSigned(typ, s, l.terms.raw(4))
		l.mine(m)
		return typ, "requester", [2]uint64{m.num(3)}, s.raw(2)
	case "attest":
		m := l.attest(s.raw(2), s.raw(3))
		return typ, "witness", [2]uint64{m.num(5), m.num(3) + 1}, m.raw(6)
	}
	must(false, "no statement of a slot")
	return
}

// modulus is N of modulus 1, which seal.json has.
var modulus = func() *big.Int {
	var v struct{ N string }
	b, err := os.ReadFile("seal.json")
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	n, ok := new(big.Int).SetString(v.N, 16)
	if err != nil || !ok {
		panic("seal.json does not give the modulus")
	}
	return n
}()
