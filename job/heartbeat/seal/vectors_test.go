package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math/big"
	"os"
	"testing"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

var update = flag.Bool("update", false, "rewrite proto/vectors/seal.json")

const vectorFile = "../../../proto/vectors/seal.json"

// vectors is proto/vectors/seal.json. Numbers are hexadecimal, x, y and pi as
// 256 bytes.
type vectors struct {
	Modulus uint32   `json:"modulus"`
	N       string   `json:"n"`
	Seals   []vector `json:"seals"`
}

type vector struct {
	T          uint64      `json:"t"`
	Beat       string      `json:"beat"` // hash of the beat
	Seed       string      `json:"seed"`
	X          string      `json:"x"`
	Y          string      `json:"y"`
	Transcript string      `json:"transcript"`
	Counter    uint32      `json:"prime_counter"`
	Prime      string      `json:"prime"`
	Pi         string      `json:"pi"`
	Hash       string      `json:"hash"` // as the next beat has it in prev_seal
	Bad        []badVector `json:"bad"`
}

// badVector differs from the good one in what it names.
type badVector struct {
	Why     string  `json:"why"`
	Refusal string  `json:"refusal"` // form, prime or proof
	Y       string  `json:"y,omitempty"`
	Pi      string  `json:"pi,omitempty"`
	Counter *uint32 `json:"prime_counter,omitempty"`
	Beat    string  `json:"beat,omitempty"`
}

var refusals = map[string]error{"form": ErrForm, "prime": ErrPrime, "proof": ErrProof}

func TestVectorsHold(t *testing.T) {
	if *update {
		b, err := json.MarshalIndent(makeVectors(t), "", "  ")
		if err == nil {
			err = os.WriteFile(vectorFile, append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if v.N != rsa2048 {
		t.Error("the modulus is another")
	}
	for _, one := range v.Seals {
		one.check(t, v.Modulus)
	}
}

// check reads a vector the way another implementation would.
func (v vector) check(t *testing.T, modulus uint32) {
	p, beat := Params{Modulus: modulus, T: v.T}, statement.Hash(unhex(v.Beat))
	good := &leasev1.Seal{Y: unhex(v.Y), Pi: unhex(v.Pi), PrimeCounter: v.Counter}
	if made, err := Make(p, beat); err != nil || !proto.Equal(made, good) {
		t.Errorf("T=%d: made %v (%v)", v.T, made, err)
	}
	if err := Verify(p, beat, good); err != nil {
		t.Errorf("T=%d: %v", v.T, err)
	}
	if h, err := Hash(good); err != nil || hex.EncodeToString(h[:]) != v.Hash {
		t.Errorf("T=%d: hash %x (%v)", v.T, h, err)
	}
	for _, b := range v.Bad {
		s, of := proto.Clone(good).(*leasev1.Seal), beat
		if b.Y != "" {
			s.Y = unhex(b.Y)
		}
		if b.Pi != "" {
			s.Pi = unhex(b.Pi)
		}
		if b.Counter != nil {
			s.PrimeCounter = *b.Counter
		}
		if b.Beat != "" {
			of = statement.Hash(unhex(b.Beat))
		}
		if err := Verify(p, of, s); !errors.Is(err, refusals[b.Refusal]) {
			t.Errorf("T=%d: %s: %v; want %s", v.T, b.Why, err, b.Refusal)
		}
	}
}

func makeVectors(t *testing.T) vectors {
	v := vectors{Modulus: 1, N: rsa2048}
	for i, squarings := range []uint64{1 << 10, 1<<16 + 1, 1 << 18} {
		v.Seals = append(v.Seals, makeVector(t, rsa(t, squarings), statement.H("beat", bytes.Repeat([]byte{byte(i)}, 32))))
	}
	return v
}

// makeVector takes every number from the other implementation.
func makeVector(t *testing.T, p puzzle, beat statement.Hash) vector {
	r := p.reference()
	s := r.make(beat[:])
	x := r.x(beat[:])
	l, _ := r.prime(x, s.GetY())
	hash, err := Hash(s)
	if err != nil {
		t.Fatal(err)
	}
	hx := hex.EncodeToString
	return vector{
		T: p.t, Beat: hx(beat[:]), Seed: hx(refH("seal-seed", beat[:])), X: hx(r.form(x)), Y: hx(s.GetY()),
		Transcript: hx(refH("seal-proof", be32(r.modulus), be64(r.t), r.form(x), s.GetY())),
		Counter:    s.GetPrimeCounter(), Prime: hx(l.Bytes()), Pi: hx(s.GetPi()), Hash: hx(hash[:]),
		Bad: badVectors(p, beat, s),
	}
}

func badVectors(p puzzle, beat statement.Hash, s *leasev1.Seal) []badVector {
	minus := func(b []byte) string {
		v := new(big.Int).Sub(p.n, new(big.Int).SetBytes(b))
		return hex.EncodeToString(v.FillBytes(make([]byte, Size)))
	}
	one := append(make([]byte, Size-1), 1)
	pi := bytes.Clone(s.GetPi())
	pi[Size-1] ^= 1
	other := statement.H("beat", beat[:])
	next, composite, large := uint32(0), uint32(0), uint32(maxCounter)
	about := p.transcript(p.start(beat), s.GetY())
	for next = s.GetPrimeCounter() + 1; !candidate(about, next).ProbablyPrime(0); next++ {
	}
	for ; candidate(about, composite).ProbablyPrime(0); composite++ {
	}
	_, swapped := p.claim(p.start(beat), &leasev1.Seal{Y: s.GetPi(), Pi: s.GetY(), PrimeCounter: s.GetPrimeCounter()})
	bad := []badVector{
		{Why: "y is the larger of y and N - y", Refusal: "form", Y: minus(s.GetY())},
		{Why: "pi is the larger of pi and N - pi", Refusal: "form", Pi: minus(s.GetPi())},
		{Why: "y is 1", Refusal: "form", Y: hex.EncodeToString(one)},
		{Why: "y is -1", Refusal: "form", Y: minus(one)},
		{Why: "pi is 0", Refusal: "form", Pi: hex.EncodeToString(make([]byte, Size))},
		{Why: "pi without its first byte", Refusal: "form", Pi: hex.EncodeToString(pi[1:])},
		{Why: "one bit of pi is flipped", Refusal: "proof", Pi: hex.EncodeToString(pi)},
		{Why: "the counter of the next prime, with the proof for the first", Refusal: "proof", Counter: &next},
		{Why: "the counter of no prime", Refusal: "prime", Counter: &composite},
		{Why: "the counter is 2^16", Refusal: "prime", Counter: &large},
	}
	if errors.Is(swapped, ErrPrime) {
		bad = append(bad, badVector{Why: "y and pi are exchanged", Refusal: "prime", Y: hex.EncodeToString(s.GetPi()), Pi: hex.EncodeToString(s.GetY())})
	}
	if _, err := p.claim(p.start(other), s); errors.Is(err, ErrPrime) {
		bad = append(bad, badVector{Why: "of another beat", Refusal: "prime", Beat: hex.EncodeToString(other[:])})
	}
	return bad
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
