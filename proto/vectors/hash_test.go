package vectors

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"math/bits"
)

type hash = [32]byte

func sha(b []byte) hash { return sha256.Sum256(b) }

// tagged is H of SPEC.md, "Bytes".
func tagged(tag string, inputs ...[]byte) hash {
	return sha(append([]byte("rigmesh/1/"+tag+"\x00"), bytes.Join(inputs, nil)...))
}

// ofPayload is Hp.
func ofPayload(tag string, payload []byte) hash {
	h := sha(payload)
	return tagged(tag, h[:])
}

// smallOrder are the y of the keys that anybody can sign for; the sign bit is left out.
var smallOrder = func() map[hash]bool {
	y := map[hash]bool{{}: true, {1}: true}
	p := hash{0xed} // 2^255 - 19 is 0, and one more is 1
	for i := 1; i < 31; i++ {
		p[i] = 0xff
	}
	p[31] = 0x7f
	for _, low := range []byte{0xec, 0xed, 0xee} {
		p[0] = low
		y[p] = true
	}
	for _, hex := range []string{ // the two of order 8
		"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
		"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
	} {
		y[hash([]byte(hex))] = true
	}
	return y
}()

var maxSize = map[string]int{"terms": 4096, "beat": 2048, "ack": 512, "close": 2048, "attest": 512}

var messageOf = map[string]string{"terms": "Terms", "beat": "Beat", "ack": "Ack", "close": "Close", "attest": "Attest"}

// open checks a statement as SPEC.md, "Bytes" says, and decodes it.
func open(typ string, payload, signature, key []byte) message {
	must(len(payload) > 0 && len(payload) <= maxSize[typ], typ+": size")
	m := parse(messageOf[typ], payload, false)
	must(m.num(1) == 1, typ+": version")
	checkSignature(typ, payload, signature, key)
	return m
}

func checkSignature(typ string, payload, signature, key []byte) {
	must(len(signature) == 64, typ+": signature size")
	must(len(key) == 32, typ+": key size")
	y := hash(key)
	y[31] &= 0x7f
	must(!smallOrder[y], typ+": key of small order")
	digest := sha(append([]byte("rigmesh/1/"+typ+"\x00"), payload...))
	must(ed25519.Verify(key, digest[:], signature), typ+": signature")
}

// openSigned opens a Signed of a type.
func openSigned(typ string, s message, key []byte) message {
	must(s != nil && string(s.raw(1)) == typ, typ+": type")
	return open(typ, s.raw(2), s.raw(3), key)
}

// leaf and node are the hashes of RFC 6962.
func leaf(b []byte) hash         { return sha(append([]byte{0}, b...)) }
func node(left, right hash) hash { return sha(append(append([]byte{1}, left[:]...), right[:]...)) }

// root is the root of RFC 6962 over leaves.
func root(leaves [][]byte) hash {
	if len(leaves) == 1 {
		return leaf(leaves[0])
	}
	k := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	return node(root(leaves[:k]), root(leaves[k:]))
}

// included checks an inclusion path of RFC 6962, from leaf to root (RFC 9162, 2.1.3.2).
func included(h hash, index, size uint64, path []hash, want hash) bool {
	if index >= size {
		return false
	}
	fn, sn, r := index, size-1, h
	for _, p := range path {
		if sn == 0 {
			return false
		}
		if fn&1 == 1 || fn == sn {
			r = node(p, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = node(r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	return sn == 0 && r == want
}
