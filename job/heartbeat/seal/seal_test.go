package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/big"
	"testing"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

func beatHash(i int) statement.Hash {
	return statement.H("test", binary.BigEndian.AppendUint32(nil, uint32(i)))
}

// small is a puzzle over a modulus of 253 bits whose factors are known.
func small(t uint64) (p puzzle, phi *big.Int) {
	a, _ := new(big.Int).SetString("170141183460469231731687303715884105727", 10) // 2^127 - 1
	b, _ := new(big.Int).SetString("85070591730234615865843651857942052727", 10)
	one := big.NewInt(1)
	for !b.ProbablyPrime(20) {
		b.Add(b, big.NewInt(2))
	}
	n := new(big.Int).Mul(a, b)
	phi = new(big.Int).Mul(new(big.Int).Sub(a, one), new(big.Int).Sub(b, one))
	return puzzle{group: newGroup(n), modulus: 77, t: t}, phi
}

func (p puzzle) make(beat statement.Hash) *leasev1.Seal {
	w := p.begin(p.start(beat))
	for !w.Step(1000) {
	}
	return w.Seal()
}

func (p puzzle) reference() reference { return reference{n: p.n, modulus: p.modulus, t: p.t} }

func rsa(t *testing.T, squarings uint64) puzzle {
	p, err := Params{Modulus: 1, T: squarings}.puzzle()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Whoever knows the factors reduces 2^T first, and so need not square T times.
func TestSealIsWhatTheFactorsOfTheModulusGive(t *testing.T) {
	for _, squarings := range []uint64{300, 1024, 4095, 63 * 63, 12345, 1 << 16} {
		p, phi := small(squarings)
		for i := range 5 {
			s := p.make(beatHash(i))
			r := p.reference()
			x := r.x(hashBytes(beatHash(i)))
			power := new(big.Int).Exp(big.NewInt(2), new(big.Int).SetUint64(squarings), phi)
			if y := r.form(new(big.Int).Exp(x, power, p.n)); !bytes.Equal(y, s.GetY()) {
				t.Fatalf("T=%d: y is %x, not %x", squarings, s.GetY(), y)
			}
			// So does the exponent of pi.
			l, _ := r.prime(x, s.GetY())
			quotient := new(big.Int).Lsh(big.NewInt(1), uint(squarings))
			quotient.Quo(quotient, l).Mod(quotient, phi)
			if pi := r.form(new(big.Int).Exp(x, quotient, p.n)); !bytes.Equal(pi, s.GetPi()) {
				t.Fatalf("T=%d: pi is %x, not %x", squarings, s.GetPi(), pi)
			}
			if err := p.verify(p.start(beatHash(i)), s); err != nil {
				t.Fatalf("T=%d: %v", squarings, err)
			}
		}
	}
}

func TestTwoImplementationsAgree(t *testing.T) {
	for i, squarings := range []uint64{1 << 10, 5000, 1 << 14} {
		p, beat := rsa(t, squarings), beatHash(i)
		ours, theirs := p.make(beat), p.reference().make(hashBytes(beat))
		if !proto.Equal(ours, theirs) {
			t.Fatalf("T=%d: %v, not %v", squarings, ours, theirs)
		}
		if err := p.verify(p.start(beat), theirs); err != nil || !p.reference().verify(hashBytes(beat), ours) {
			t.Fatalf("T=%d: one refuses what the other made (%v)", squarings, err)
		}
	}
}

// Marks stand farther apart for a large T, which must not show in the result.
func TestSealDoesNotDependOnTheDistanceOfMarks(t *testing.T) {
	p, _ := small(30_000)
	want := p.make(beatHash(0))
	for _, spread := range []uint64{2, 3, 10} {
		w := p.begin(p.start(beatHash(0)))
		w.every = mark * spread
		for !w.Step(1 << 20) {
		}
		if !proto.Equal(w.Seal(), want) {
			t.Errorf("%d blocks between marks give another seal", spread)
		}
	}
}

func TestWorkIsTheSameInSlicesOfAnySize(t *testing.T) {
	p := rsa(t, 2000)
	want := p.make(beatHash(0))
	for _, slice := range []int{1, 64, 777, 1 << 30} {
		w := p.begin(p.start(beatHash(0)))
		steps := 1
		for ; !w.Step(slice); steps++ {
			if w.Seal() != nil {
				t.Fatal("a seal that is not finished shows")
			}
		}
		if !proto.Equal(w.Seal(), want) {
			t.Errorf("slices of %d give another seal", slice)
		}
		if slice == 1<<30 && steps != 1 {
			t.Errorf("%d steps where one was allowed to do it all", steps)
		}
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	check := func(p puzzle, stride int) {
		good, beat := p.make(beatHash(3)), beatHash(3)
		if err := p.verify(p.start(beat), good); err != nil {
			t.Fatal(err)
		}
		try := func(what string, bit int, change func(*leasev1.Seal)) {
			s := proto.Clone(good).(*leasev1.Seal)
			change(s)
			if p.verify(p.start(beat), s) == nil {
				t.Errorf("bit %d of %s is free", bit, what)
			}
		}
		for bit := 0; bit < 8*p.size; bit += stride {
			try("y", bit, func(s *leasev1.Seal) { s.Y[bit/8] ^= 1 << (bit % 8) })
			try("pi", bit, func(s *leasev1.Seal) { s.Pi[bit/8] ^= 1 << (bit % 8) })
		}
		for bit := range 32 {
			try("prime_counter", bit, func(s *leasev1.Seal) { s.PrimeCounter ^= 1 << bit })
		}
		for bit := range 256 {
			other := beat
			other[bit/8] ^= 1 << (bit % 8)
			if p.verify(p.start(other), good) == nil {
				t.Errorf("it seals another beat too, with bit %d flipped", bit)
			}
		}
	}
	p, _ := small(1024)
	check(p, 1)
	check(rsa(t, 1024), 11)
}

func TestSealOfOtherParametersIsRefused(t *testing.T) {
	p := rsa(t, 1024)
	s := p.make(beatHash(0))
	longer, other := p, p
	longer.t, other.modulus = 1025, 2
	for name, p := range map[string]puzzle{"T": longer, "modulus": other} {
		if p.verify(p.start(beatHash(0)), s) == nil {
			t.Errorf("the seal holds with another %s", name)
		}
	}
}

func TestSealsNotInTheOneFormAreRefused(t *testing.T) {
	p := rsa(t, 1024)
	good := p.make(beatHash(0))
	negative := func(b []byte) []byte {
		v := new(big.Int).Sub(p.n, new(big.Int).SetBytes(b))
		return v.FillBytes(make([]byte, p.size))
	}
	number := func(v int64) []byte { return big.NewInt(v).FillBytes(make([]byte, p.size)) }
	for name, c := range map[string]struct {
		change func(*leasev1.Seal)
		want   error
	}{
		"no y":                {func(s *leasev1.Seal) { s.Y = nil }, ErrForm},
		"no pi":               {func(s *leasev1.Seal) { s.Pi = nil }, ErrForm},
		"short y":             {func(s *leasev1.Seal) { s.Y = s.Y[1:] }, ErrForm},
		"long pi":             {func(s *leasev1.Seal) { s.Pi = append([]byte{0}, s.Pi...) }, ErrForm},
		"-y":                  {func(s *leasev1.Seal) { s.Y = negative(s.Y) }, ErrForm},
		"-pi":                 {func(s *leasev1.Seal) { s.Pi = negative(s.Pi) }, ErrForm},
		"y = 0":               {func(s *leasev1.Seal) { s.Y = number(0) }, ErrForm},
		"y = 1":               {func(s *leasev1.Seal) { s.Y = number(1) }, ErrForm},
		"y = -1":              {func(s *leasev1.Seal) { s.Y = negative(number(1)) }, ErrForm},
		"pi = 0":              {func(s *leasev1.Seal) { s.Pi = number(0) }, ErrForm},
		"pi = 1":              {func(s *leasev1.Seal) { s.Pi = number(1) }, ErrForm},
		"y = N":               {func(s *leasev1.Seal) { s.Y = p.n.Bytes() }, ErrForm},
		"all ones":            {func(s *leasev1.Seal) { s.Y = bytes.Repeat([]byte{255}, p.size) }, ErrForm},
		"no prime":            {func(s *leasev1.Seal) { s.PrimeCounter = notPrime(p, good) }, ErrPrime},
		"counter too large":   {func(s *leasev1.Seal) { s.PrimeCounter = 1 << 16 }, ErrPrime},
		"another, true prime": {func(s *leasev1.Seal) { s.PrimeCounter = nextPrime(p, good) }, ErrProof},
		"y and pi exchanged":  {func(s *leasev1.Seal) { s.Y, s.Pi = s.Pi, s.Y }, nil},
		"empty":               {func(s *leasev1.Seal) { proto.Reset(s) }, ErrForm},
	} {
		s := proto.Clone(good).(*leasev1.Seal)
		c.change(s)
		err := p.verify(p.start(beatHash(0)), s)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, not %v", name, err, c.want)
		}
		if p.reference().verify(hashBytes(beatHash(0)), s) {
			t.Errorf("%s: the other implementation takes it", name)
		}
	}
	if Verify(Params{Modulus: 1, T: 1024}, beatHash(0), nil) == nil {
		t.Error("no seal at all is taken for one")
	}
}

func notPrime(p puzzle, s *leasev1.Seal) uint32 {
	about := p.transcript(p.start(beatHash(0)), s.GetY())
	for c := uint32(0); ; c++ {
		if !candidate(about, c).ProbablyPrime(0) {
			return c
		}
	}
}

func nextPrime(p puzzle, s *leasev1.Seal) uint32 {
	about := p.transcript(p.start(beatHash(0)), s.GetY())
	for c := s.GetPrimeCounter() + 1; ; c++ {
		if candidate(about, c).ProbablyPrime(0) {
			return c
		}
	}
}

// The smallest counter is what makers send. Another with its own proof is as
// sound, and not refused.
func TestAnyCounterOfAPrimeWillDo(t *testing.T) {
	p := rsa(t, 1024)
	s := p.make(beatHash(0))
	s.PrimeCounter = nextPrime(p, s)
	x := p.start(beatHash(0))
	l, err := primeAt(p.transcript(x, s.GetY()), s.GetPrimeCounter())
	if err != nil {
		t.Fatal(err)
	}
	quotient := new(big.Int).Lsh(big.NewInt(1), 1024)
	r := p.reference()
	s.Pi = r.form(new(big.Int).Exp(r.x(hashBytes(beatHash(0))), quotient.Quo(quotient, l), p.n))
	if err := p.verify(p.start(beatHash(0)), s); err != nil {
		t.Error(err)
	}
}

func TestUnknownParametersAreRefused(t *testing.T) {
	for _, p := range []Params{{}, {Modulus: 1}, {T: 1 << 18}, {Modulus: 2, T: 1 << 18}, {Modulus: 1, T: MinT - 1}, {Modulus: 1, T: MaxT + 1}} {
		if _, err := Begin(p, beatHash(0)); !errors.Is(err, ErrParams) {
			t.Errorf("%+v: %v", p, err)
		}
		if err := errors.Join(Verify(p, beatHash(0), nil), VerifyBatch(p, nil)); !errors.Is(err, ErrParams) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, c := range []struct {
		terms *leasev1.Terms
		known bool
	}{
		{&leasev1.Terms{}, true},
		{&leasev1.Terms{SealSuite: 1, SealModulus: 1, SealT: 1 << 18}, true},
		{&leasev1.Terms{SealSuite: 2, SealModulus: 1, SealT: 1 << 18}, false},
		{&leasev1.Terms{SealSuite: 1, SealModulus: 3, SealT: 1 << 18}, false},
		{&leasev1.Terms{SealSuite: 1, SealModulus: 1}, false},
		{&leasev1.Terms{SealT: 1 << 18}, false},
	} {
		if err := CheckTerms(c.terms); (err == nil) != c.known {
			t.Errorf("%v: %v", c.terms, err)
		}
	}
}

func TestHashOfASealIsThatOfItsAnswer(t *testing.T) {
	s := &leasev1.Seal{Y: make([]byte, Size), Pi: make([]byte, Size)}
	a, err := Hash(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Pi, s.PrimeCounter = nil, 7
	if b, err := Hash(s); err != nil || a != b {
		t.Errorf("another proof gives another name (%v)", err)
	}
	s.Y[Size-1] = 1
	if b, err := Hash(s); err != nil || a == b {
		t.Errorf("another answer has the same name (%v)", err)
	}
	s.Y = s.Y[1:]
	if _, err := Hash(s); !errors.Is(err, ErrForm) {
		t.Errorf("a short answer: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	p := Params{Modulus: 1, T: MinT}
	good, err := Make(p, beatHash(0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.GetY(), good.GetPi(), good.GetPrimeCounter())
	f.Add([]byte{}, make([]byte, Size), uint32(0))
	f.Add(bytes.Repeat([]byte{255}, Size), make([]byte, 2*Size), uint32(1)<<31)
	f.Fuzz(func(t *testing.T, y, pi []byte, counter uint32) {
		s := &leasev1.Seal{Y: y, Pi: pi, PrimeCounter: counter}
		if Verify(p, beatHash(0), s) == nil && !proto.Equal(s, good) {
			t.Errorf("another seal is taken: %v", s)
		}
		if _, err := Hash(s); (err == nil) != (len(y) == Size) {
			t.Errorf("hash of %d bytes: %v", len(y), err)
		}
	})
}

func hashBytes(h statement.Hash) []byte { return h[:] }
