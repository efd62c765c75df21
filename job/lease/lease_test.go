package lease

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// running is a lease ten seconds into its second interval, with one beat each
// in the first two.
func running(t *testing.T) *scene {
	s := &scene{t: t, terms: testTerms(), now: epoch, offset: 10 * time.Second, lose: map[string]int{}, hold: map[string]int{}}
	for _, line := range [][]string{{"begin"}, {"tick"}, {"task", "running"}, {"sleep", "80s"}} {
		if err := s.command(line); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// challenged is the beat that the worker answers the next challenge with, which
// the requester has not seen.
func challenged(t *testing.T) (*scene, *leasev1.Beat) {
	s := running(t)
	s.hold["beat"]++
	if err := s.command([]string{"sleep", "60s"}); err != nil {
		t.Fatal(err)
	}
	b := &leasev1.Beat{}
	if err := proto.Unmarshal(s.held[0].signed.Payload, b); err != nil {
		t.Fatal(err)
	}
	return s, b
}

func TestRequesterRefusesEveryBeatThatIsNotTheAnswer(t *testing.T) {
	s, good := challenged(t)
	for name, c := range map[string]struct {
		change func(*leasev1.Beat)
		want   error
	}{
		"too much credit":      {func(b *leasev1.Beat) { b.CreditMs += 30_000; b.Amount += 30_000 }, ErrCredit},
		"three intervals":      {func(b *leasev1.Beat) { b.CreditMs += 130_000; b.Amount += 130_000 }, ErrCredit},
		"less than agreed":     {func(b *leasev1.Beat) { b.CreditMs, b.Amount = 1, 1 }, ErrCredit},
		"a rounder amount":     {func(b *leasev1.Beat) { b.Amount++ }, ErrAmount},
		"another lease":        {func(b *leasev1.Beat) { b.LeaseId[0] ^= 1 }, ErrLease},
		"another head":         {func(b *leasev1.Beat) { b.PrevHead[0] ^= 1 }, ErrHead},
		"another challenge":    {func(b *leasev1.Beat) { b.ChallengeHash[0] ^= 1 }, ErrChallenge},
		"another tree":         {func(b *leasev1.Beat) { b.TreeRoot[0] ^= 1 }, ErrTree},
		"a skipped number":     {func(b *leasev1.Beat) { b.Seq-- }, ErrSeq},
		"a later interval":     {func(b *leasev1.Beat) { b.Interval++ }, ErrFutureInterval},
		"an interval long ago": {func(b *leasev1.Beat) { b.Interval, b.Seq = 0, 0 }, ErrStale},
	} {
		b := proto.Clone(good).(*leasev1.Beat)
		c.change(b)
		v := must(statement.Open[*leasev1.Beat](must(statement.Sign(workerKey, statement.TypeBeat, b)), statement.TypeBeat, publicOf(workerKey)))
		if _, _, err := s.sides[Requester].lease.Step(s.now, BeatReceived{Beat: v}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
}

// After a silence of five minutes, of which two may be unpaid, a worker has less credit than time has
// passed. It cannot make up for that, neither in the first beat nor in a later one.
func TestTimeThatWasNobodysIsNotClaimedLater(t *testing.T) {
	s := running(t)
	claim := func(when string, more uint64, commands ...string) {
		t.Helper()
		s.hold["beat"]++
		for _, line := range commands {
			if err := s.command(strings.Fields(line)); err != nil {
				t.Fatal(err)
			}
		}
		b := decoded(s.held[0].signed).(*leasev1.Beat)
		b.CreditMs, b.Amount = b.CreditMs+more, b.Amount+more
		v := must(statement.Open[*leasev1.Beat](must(statement.Sign(workerKey, statement.TypeBeat, b)), statement.TypeBeat, publicOf(workerKey)))
		if _, _, err := s.sides[Requester].lease.Step(s.now, BeatReceived{Beat: v}); !errors.Is(err, ErrCredit) {
			t.Errorf("%s: %v; want %v", when, err, ErrCredit)
		}
		if err := s.command([]string{"release"}); err != nil {
			t.Fatal(err)
		}
	}
	claim("more than may be unpaid", 60_000, "cut", "sleep 5m", "mend")
	before := s.sides[Requester].lease.CreditMS()
	claim("more than passed since", 60_000, "sleep 60s")
	if after := s.sides[Requester].lease.CreditMS(); before != 190_000 || after <= before {
		t.Errorf("the honest beats were credited with %d and %d ms", before, after)
	}
}

func TestStatementsOfStrangersAreRefused(t *testing.T) {
	s, b := challenged(t)
	stranger := testKey('x')
	v := must(statement.Open[*leasev1.Beat](must(statement.Sign(stranger, statement.TypeBeat, b)), statement.TypeBeat, publicOf(stranger)))
	if _, _, err := s.sides[Requester].lease.Step(s.now, BeatReceived{Beat: v}); !errors.Is(err, ErrSigner) {
		t.Errorf("beat: %v", err)
	}
	challenge := s.last["challenge"].signed
	c := must(statement.Open[*leasev1.Challenge](statement.SignPayload(stranger, statement.TypeChallenge, challenge.Payload), statement.TypeChallenge, publicOf(stranger)))
	if _, _, err := s.sides[Worker].lease.Step(s.now, Challenged{Challenge: c}); !errors.Is(err, ErrSigner) {
		t.Errorf("challenge: %v", err)
	}
}

func TestWorkerRefusesAnIntervalThatHasNotBegun(t *testing.T) {
	s := running(t)
	c := decoded(s.last["challenge"].signed).(*leasev1.Challenge)
	c.Interval = 3 // it is in interval 1 and allows for the clocks to differ by one
	v := must(statement.Open[*leasev1.Challenge](must(statement.Sign(requesterKey, statement.TypeChallenge, c)), statement.TypeChallenge, publicOf(requesterKey)))
	if _, _, err := s.sides[Worker].lease.Step(s.now, Challenged{Challenge: v}); !errors.Is(err, ErrFutureInterval) {
		t.Error(err)
	}
}

func TestEventsForTheOtherSideAreRefused(t *testing.T) {
	s := running(t)
	for _, ev := range []Event{BeatReceived{}, CloseReceived{}, SealReceived{}, Abandon{}} {
		if _, _, err := s.sides[Worker].lease.Step(s.now, ev); !errors.Is(err, ErrRole) {
			t.Errorf("%T on the worker: %v", ev, err)
		}
	}
	for _, ev := range []Event{Challenged{}, Acked{}, TaskRunning{}, TaskEnded{}, TaskExited{}, TaskFailed{}, CloseSigned{}, SealReady{}, Yield{}, Hold{}, Slept{}} {
		if _, _, err := s.sides[Requester].lease.Step(s.now, ev); !errors.Is(err, ErrRole) {
			t.Errorf("%T on the requester: %v", ev, err)
		}
	}
}

func TestReplayRefusesAnotherStatementThanTheJournals(t *testing.T) {
	s := running(t)
	w := s.sides[Worker]
	for name, change := range map[string]func(*Recorded){
		"another payload": func(r *Recorded) {
			r.Statements[0] = must(statement.Sign(workerKey, statement.TypeBeat, &leasev1.Beat{Version: 1}))
		},
		"another type": func(r *Recorded) {
			r.Statements[0] = statement.SignPayload(workerKey, statement.TypeAck, r.Statements[0].Payload)
		},
		"none":         func(r *Recorded) { r.Statements = nil },
		"one too many": func(r *Recorded) { r.Statements = append(r.Statements, r.Statements[0]) },
		"signed by the other": func(r *Recorded) {
			r.Statements[0] = statement.SignPayload(requesterKey, statement.TypeBeat, r.Statements[0].Payload)
		},
		"another time":         func(r *Recorded) { r.Now = r.Now.Add(time.Second) },
		"an event cut in half": func(r *Recorded) { r.Event = r.Event[:len(r.Event)/2] },
	} {
		var journal []Recorded
		for _, r := range w.journal {
			r.Statements = bytesCopy(r.Statements)
			journal = append(journal, r)
		}
		for i := range journal {
			if len(journal[i].Statements) > 0 {
				change(&journal[i])
				break
			}
		}
		if _, err := Replay(w.config, epoch, journal); !errors.Is(err, ErrReplay) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func bytesCopy(in []*marketv1.Signed) []*marketv1.Signed {
	return append([]*marketv1.Signed(nil), in...)
}

// An earlier version recorded what this one refuses. The lease lives on without it.
func TestReplayPassesOverWhatEarlierVersionsTook(t *testing.T) {
	s := &scene{t: t, terms: testTerms(), now: epoch, offset: 10 * time.Second, lose: map[string]int{}, hold: map[string]int{}}
	for _, line := range []string{"terms witnesses=1", "tick", "task running", "nonce", "sleep 80s"} {
		if err := s.command(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
	}
	shown := decoded(s.witness.shown.Beat).(*leasev1.Beat)
	head := heartbeat.NextHead(s.witness.shown.Beat, s.witness.shown.Ack)
	for r, side := range s.sides {
		lie := must(side.lease.OpenAttest(must(statement.Sign(testKey('a'), statement.TypeAttest, &leasev1.Attest{
			Version: 1, LeaseId: shown.LeaseId, Seq: shown.Seq, Head: head[:], TreeRoot: head[:], CreditMs: 1 << 63,
		}))))
		if _, _, err := side.lease.Step(s.now, lie); !errors.Is(err, ErrAttest) {
			t.Errorf("%s: %v", r, err)
		}
		journal := append(slices.Clip(side.journal), Recorded{Now: s.now, Event: must(MarshalEvent(lie))})
		l, err := Replay(side.config, epoch, journal)
		if err != nil || fingerprint(l) != fingerprint(side.lease) {
			t.Errorf("%s: %v, or another lease", r, err)
		}
	}
}

func TestReplayNeverSigns(t *testing.T) {
	s := running(t)
	for r, side := range s.sides {
		c := side.config
		c.Sign = func(statement.Type, []byte) *marketv1.Signed {
			t.Fatalf("the %s signed", r)
			return nil
		}
		if _, err := Replay(c, epoch, side.journal); err != nil {
			t.Error(err)
		}
	}
}

func TestTermsThatCannotBeFollowedAreRefused(t *testing.T) {
	for name, change := range map[string]func(*leasev1.Terms){
		"no interval":      func(t *leasev1.Terms) { t.IntervalMs = 0 },
		"a long grace":     func(t *leasev1.Terms) { t.GraceMs = t.IntervalMs + 1 },
		"no max_unpaid":    func(t *leasev1.Terms) { t.MaxUnpaid = 0 },
		"no duration":      func(t *leasev1.Terms) { t.MaxDurationMs = 0 },
		"endless":          func(t *leasev1.Terms) { t.MaxDurationMs = 1 << 62 },
		"a seal without T": func(t *leasev1.Terms) { t.SealSuite = 1 },
		"an unknown suite": func(t *leasev1.Terms) { t.SealSuite, t.SealModulus, t.SealT = 2, 1, 1<<18 },
	} {
		terms := testTerms()
		change(terms)
		if _, err := New(testConfig(Worker, terms), epoch); !errors.Is(err, ErrTerms) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAgreementNeedsBothSignaturesOverOnePayload(t *testing.T) {
	w := must(statement.Sign(workerKey, statement.TypeTerms, testTerms()))
	r := must(statement.Sign(requesterKey, statement.TypeTerms, testTerms()))
	if _, err := NewAgreement(r, w); !errors.Is(err, statement.ErrSignature) {
		t.Errorf("exchanged: %v", err)
	}
	other := testTerms()
	other.Price++
	if _, err := NewAgreement(w, must(statement.Sign(requesterKey, statement.TypeTerms, other))); !errors.Is(err, ErrTerms) {
		t.Errorf("two payloads: %v", err)
	}
}

// The most that the terms pay for is exactly the last credit below the limit.
func TestAffordableIsTheLastCreditThatFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Uint64().Draw(t, "limit")
		price := rapid.Uint64Range(1, job.MaxPrice).Draw(t, "price")
		gpus := rapid.IntRange(1, 64).Draw(t, "gpus")
		credit := affordable(limit, price, gpus)
		if credit == 1<<64-1 {
			return // more than can be counted
		}
		if a, err := job.Amount(credit, price, gpus); err != nil || a > limit {
			t.Fatalf("%d ms cost %d, %v; limit %d", credit, a, err, limit)
		}
		if a, err := job.Amount(credit+1, price, gpus); err == nil && a <= limit {
			t.Fatalf("one more millisecond costs %d; limit %d", a, limit)
		}
	})
}

// Whatever happens to a lease at whatever times, both sides agree in the end on
// money that the terms allow, and no more of it than time passed.
func TestMoneyNeverExceedsTimeOrTerms(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		terms := testTerms()
		terms.Price = rapid.Uint64Range(0, 10_000_000).Draw(rt, "price")
		terms.MaxAmount = rapid.Uint64Range(0, 3_000_000).Draw(rt, "max_amount")
		terms.MaxDurationMs = rapid.Int64Range(1, 1_000_000).Draw(rt, "max_duration")
		s := &scene{t: t, terms: terms, now: epoch, lose: map[string]int{}, hold: map[string]int{}}
		s.begin()
		kinds := []string{"challenge", "beat", "ack", "close", "closing signature"}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			s.offset = time.Duration(rapid.IntRange(0, 36).Draw(rt, "offset")) * time.Second
			words := rapid.SampledFrom([][]string{{"sleep", "13s"}, {"sleep", "61s"}, {"sleep", "3m"}, {"doze", "90s"}, {"lose"}, {"task", "running"}, {"crash", "worker"}, {"crash", "requester"}, {"cut"}, {"mend"}, {"stop", "5s"}, {"task", "exits", "1"}}).Draw(rt, "what")
			if words[0] == "lose" {
				s.lose[rapid.SampledFrom(kinds).Draw(rt, "kind")]++
				continue
			}
			if err := s.command(words); err != nil {
				rt.Fatal(err)
			}
			for r, side := range s.sides {
				l := side.lease
				want, err := job.Amount(l.CreditMS(), terms.Price, 1)
				switch {
				case err != nil || l.Amount() != want:
					rt.Fatalf("%s: amount %d for %d ms", r, l.Amount(), l.CreditMS())
				case l.Amount() > terms.MaxAmount || l.CreditMS() > uint64(terms.MaxDurationMs):
					rt.Fatalf("%s: %d for %d ms is beyond the terms", r, l.Amount(), l.CreditMS())
				case l.CreditMS() > uint64(s.now.Sub(epoch).Milliseconds()):
					rt.Fatalf("%s: %d ms of credit after %s", r, l.CreditMS(), s.now.Sub(epoch))
				}
			}
		}
	})
}

func FuzzUnmarshalEvent(f *testing.F) {
	for _, ev := range []Event{Tick{}, Tick{Random: randomFor(1, time.Second)}, StopAsked{time.Second}, Abandon{}, TaskFailed{&leasev1.Exit{Error: "x"}}} {
		f.Add(must(MarshalEvent(ev)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, err := UnmarshalEvent(b)
		if err != nil {
			return
		}
		again, err := MarshalEvent(ev)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := UnmarshalEvent(again); err != nil {
			t.Errorf("%T does not come back: %v", ev, err)
		}
	})
}

// A worker may show what it likes, as often as it likes: the requester records what
// changes something, once, and of that nothing but what it looked at.
func TestAResyncIsTakenOnce(t *testing.T) {
	junk := [][]byte{bytes.Repeat([]byte{1}, 200<<10)}
	later := func(interval uint64) func(*leasev1.Beat) {
		return func(b *leasev1.Beat) { b.Interval = interval; b.ChallengeHash[0] ^= 1 }
	}
	for name, c := range map[string]struct {
		behind bool // the worker shows one beat less than there is
		slot   func(*leasev1.Beat)
		taken  int
	}{
		"an older beat of its own":          {false, later(0), 0},
		"one for the current interval":      {false, later(2), 1},
		"one for the next":                  {false, later(3), 1},
		"one for an interval in the future": {false, later(4), 0},
		"one for an interval far away":      {false, later(1 << 63), 0},
		"too few beats":                     {true, nil, 1},
		"too few, and a beat":               {true, later(3), 1},
	} {
		s, b := challenged(t)
		r := &leasev1.Resync{Beat: s.sides[Worker].lease.chain.beat, Ack: s.sides[Worker].lease.chain.ack, Tree: junk}
		if c.behind {
			r.Beat, r.Ack = nil, nil
		}
		if c.slot != nil {
			c.slot(b)
			r.SlotInterval, r.SlotBeat = b.Interval, must(statement.Sign(workerKey, statement.TypeBeat, b))
		}
		r.ProtoReflect().SetUnknown(bytes.Repeat([]byte{0xc0, 0x3e, 0x01}, 9000))
		q := s.sides[Requester]
		before := len(q.journal)
		for range 3 {
			if _, err := q.step(s.now, ResyncReceived{r}); err != nil && !errors.Is(err, ErrStale) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(q.journal) - before; n != c.taken {
			t.Errorf("%s: recorded %d times, not %d", name, n, c.taken)
		}
		for _, rec := range q.journal[before:] {
			if len(rec.Event) > 8<<10 {
				t.Errorf("%s: a record of %d bytes", name, len(rec.Event))
			}
		}
		s.checkReplay()
	}
}

// What only says what is known already, or comes too soon, is not recorded.
func TestANonceIsTakenOnceAndTheNextOneLater(t *testing.T) {
	terms := testTerms()
	terms.Witnesses = [][]byte{publicOf(testKey('a')), publicOf(testKey('b'))}
	w := newSide(Worker, terms)
	for _, c := range []struct {
		at      time.Duration
		witness uint32
		nonce   byte
		want    error
	}{
		{0, 0, 1, nil},
		{time.Second, 0, 1, ErrStale},
		{time.Second, 1, 1, nil},
		{nonceRest - time.Millisecond, 0, 2, ErrStale},
		{nonceRest, 0, 2, nil},
		{nonceRest + time.Second, 0, 3, ErrStale},
		{3 * nonceRest, 0, 2, ErrStale},
		{3 * nonceRest, 0, 3, nil},
	} {
		if _, err := w.step(epoch.Add(c.at), NonceReceived{Witness: c.witness, Nonce: [32]byte{c.nonce}}); !errors.Is(err, c.want) {
			t.Errorf("nonce %d of witness %d at %s: %v, not %v", c.nonce, c.witness, c.at, err, c.want)
		}
	}
	if len(w.journal) != 4 {
		t.Errorf("%d records", len(w.journal))
	}
}

// FuzzResync feeds a requester what a worker may show it: nothing of that may
// panic or be believed.
func FuzzResync(f *testing.F) {
	f.Add([]byte{}, []byte{}, uint64(0))
	f.Add([]byte{8, 1}, bytes.Repeat([]byte{1}, ed25519.SignatureSize), uint64(3))
	f.Fuzz(func(t *testing.T, payload, signature []byte, slot uint64) {
		l := newLease(Requester, testTerms())
		beat := &marketv1.Signed{Type: "beat", Payload: payload, Signature: signature}
		next, _, err := l.Step(epoch, ResyncReceived{&leasev1.Resync{Beat: beat, Ack: beat, SlotInterval: slot, SlotBeat: beat}})
		if err == nil || next.Beats() != 0 {
			t.Errorf("believed: %v", err)
		}
	})
}

// BenchmarkReplay is a lease of 24 hours, both signatures of every beat checked.
func BenchmarkReplay(b *testing.B) {
	s := &scene{terms: testTerms(), now: epoch, offset: 10 * time.Second, lose: map[string]int{}, hold: map[string]int{}}
	s.terms.MaxDurationMs *= 2
	for _, line := range [][]string{{"begin"}, {"tick"}, {"task", "running"}, {"sleep", "24h"}} {
		if err := s.command(line); err != nil {
			b.Fatal(err)
		}
	}
	for r, side := range s.sides {
		b.Run(r.String(), func(b *testing.B) {
			for b.Loop() {
				if l, err := Replay(side.config, epoch, side.journal); err != nil || l.Beats() < 1440 {
					b.Fatal(l.Beats(), err)
				}
			}
		})
	}
}

// BenchmarkBeat is one heartbeat without a journal or a network, both sides.
func BenchmarkBeat(b *testing.B) {
	s := &scene{mute: true, terms: testTerms(), now: epoch, offset: 10 * time.Second, lose: map[string]int{}, hold: map[string]int{}}
	for b.Loop() {
		if err := s.command([]string{"sleep", "60s"}); err != nil {
			b.Fatal(err)
		}
	}
}
