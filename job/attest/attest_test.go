package attest_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/attest"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/statement"
)

func key(name byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{name}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

var (
	worker, requester, witness = key('w'), key('r'), key('a')
	epoch                      = time.UnixMilli(1_800_000_000_000)
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func agreement(tag string, witnesses ...[]byte) lease.Agreement {
	gpu := statement.GPUTag("test", tag)
	terms := &leasev1.Terms{
		Version: 1, Network: "test", Worker: public(worker), Requester: public(requester), GpuTags: [][]byte{gpu[:]},
		IntervalMs: 60_000, MaxDurationMs: 86_400_000, AbsentGraceMs: 1_800_000, Witnesses: witnesses,
	}
	w := must(statement.Sign(worker, statement.TypeTerms, terms))
	r := must(statement.Sign(requester, statement.TypeTerms, terms))
	return must(lease.NewAgreement(w, r))
}

// chain makes co-signed beats, with nonces in them.
type chain struct {
	a     lease.Agreement
	heads heartbeat.Heads
	tree  heartbeat.Tree // before the last beat
	all   heartbeat.Tree
}

func begin(a lease.Agreement) *chain {
	h := heartbeat.Head0(a.Payload, a.WorkerSig, a.RequesterSig)
	return &chain{a: a, heads: heartbeat.Heads{h}, all: heartbeat.Tree{}.Append(h)}
}

func (c *chain) beat(nonces ...[]byte) *leasev1.Shown {
	id, head, root, zero := c.a.ID(), c.heads[len(c.heads)-1], c.all.Root(), make([]byte, 32)
	seq := uint64(len(c.heads) - 1)
	beat := must(statement.Sign(worker, statement.TypeBeat, &leasev1.Beat{
		Version: 1, LeaseId: id[:], Seq: seq, Interval: seq, PrevHead: head[:], ChallengeHash: zero, TreeRoot: root[:],
		WitnessRoot: heartbeat.RootOf(nonces), Evidence: &leasev1.Evidence{}, CreditMs: 60_000 * seq,
	}))
	hash := statement.HashPayload("beat", beat.Payload)
	ack := must(statement.Sign(requester, statement.TypeAck, &leasev1.Ack{
		Version: 1, LeaseId: id[:], Seq: seq, Interval: seq, BeatHash: hash[:], Verdict: leasev1.Verdict_VERDICT_GOOD, CreditMs: 60_000 * seq,
	}))
	c.tree = c.all
	next := heartbeat.NextHead(beat, ack)
	c.heads, c.all = append(c.heads, next), c.all.Append(next)
	return &leasev1.Shown{Beat: beat, Ack: ack, Nonces: nonces, Tree: c.tree.Complete()}
}

// later shows a beat after an attestation of an earlier one.
func (c *chain) later(s *leasev1.Shown, last *leasev1.Attest) *leasev1.Shown {
	s.Consistency = must(c.heads.Consistency(last.Seq + 2))
	return s
}

func random(n byte) (r [attest.RandomSize]byte) {
	r[0], r[attest.RandomSize-1] = n, n
	return r
}

// asked lets time pass until the witness has given out a nonce, and gives its leaf.
func asked(t *testing.T, w attest.Watch, now *time.Time, n byte) (attest.Watch, []byte) {
	t.Helper()
	*now = w.Due()
	w, nonce := w.Ask(*now, random(n))
	if nonce == nil {
		t.Fatal("no nonce when one was due")
	}
	leaf := heartbeat.NonceLeaf(w.ID(), 0, nonce.Nonce)
	return w, leaf[:]
}

// said signs an attestation.
func said(w attest.Watch, now time.Time, a *leasev1.Attest) attest.Watch {
	s := must(statement.Sign(witness, statement.TypeAttest, a))
	return w.Said(now, must(statement.Open[*leasev1.Attest](s, statement.TypeAttest, public(witness))))
}

func TestAWitnessAttestsToWhatItsNonceStandsIn(t *testing.T) {
	a := agreement("GPU-1", public(witness))
	w, now, c := must(attest.Begin(a, public(witness), epoch, random(7))), epoch, begin(a)
	if w.Due().Sub(epoch) > time.Minute {
		t.Errorf("first asked after %s; many leases are short", w.Due().Sub(epoch))
	}
	var last *leasev1.Attest
	for period := range uint64(5) {
		for range period {
			c.beat()
		}
		var leaf []byte
		w, leaf = asked(t, w, &now, byte(period))
		s := c.beat(leaf, make([]byte, 32)) // another witness asked as well
		if last != nil {
			s = c.later(s, last)
		}
		m, err := w.Attest(now.Add(time.Second), s)
		if err != nil {
			t.Fatal(err)
		}
		root := c.all.Root()
		if err := heartbeat.CheckAttest(m); err != nil || !bytes.Equal(m.Head, c.heads[len(c.heads)-1][:]) || !bytes.Equal(m.TreeRoot, root[:]) ||
			m.Period != period || m.Attested != period || m.AskedMs != now.UnixMilli() || m.AttestedMs != now.UnixMilli()+1000 || m.FirstMs != epoch.UnixMilli() {
			t.Errorf("period %d: %v (%v)", period, m, err)
		}
		w = said(w, now, m)
		again, err := w.Attest(now, s)
		if err != nil || !proto.Equal(again, m) {
			t.Errorf("shown again: %v, %v", again, err)
		}
		if at := w.Due().Sub(epoch) / attest.Period; uint64(at) != period+1 {
			t.Errorf("asks next in period %d", at)
		}
		last = m
	}
}

func TestWhatDoesNotHoldIsNotAttested(t *testing.T) {
	a := agreement("GPU-1", public(witness))
	watch, now := must(attest.Begin(a, public(witness), epoch, random(7))), epoch
	watch, leaf := asked(t, watch, &now, 1)
	first := begin(a)
	s := first.beat(leaf)
	m := must(watch.Attest(now, s))
	after := said(watch, now, m)
	after, second := asked(t, after, &now, 2)
	fork := begin(a)
	fork.beat() // another first beat: without the nonce
	forked := fork.later(fork.beat(second), m)
	good := first.later(first.beat(second), m)
	if _, err := after.Attest(now, good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want error
		w    attest.Watch
		s    *leasev1.Shown
	}{
		{"nothing", attest.ErrShown, watch, &leasev1.Shown{}},
		{"no ack", attest.ErrShown, watch, &leasev1.Shown{Beat: s.Beat, Nonces: s.Nonces, Tree: s.Tree}},
		{"the ack of another beat", attest.ErrShown, watch, &leasev1.Shown{Beat: s.Beat, Ack: good.Ack, Nonces: s.Nonces, Tree: s.Tree}},
		{"other nonces", attest.ErrShown, watch, &leasev1.Shown{Beat: s.Beat, Ack: s.Ack, Nonces: [][]byte{leaf, leaf}, Tree: s.Tree}},
		{"other subtrees", attest.ErrShown, watch, &leasev1.Shown{Beat: s.Beat, Ack: s.Ack, Nonces: s.Nonces, Tree: [][]byte{leaf}}},
		{"a beat without its nonce", attest.ErrNotAsked, watch, begin(a).beat()},
		{"a beat with somebody else's", attest.ErrNotAsked, watch, begin(a).beat(second)},
		{"another lease", attest.ErrShown, watch, begin(agreement("GPU-2", public(witness))).beat(leaf)},
		{"another head for the beat it attested to", attest.ErrTwoHeads, after, begin(a).beat(second)},
		{"a chain that does not go on from its head", attest.ErrTwoHeads, after, forked},
		{"no proof that it goes on", attest.ErrTwoHeads, after, &leasev1.Shown{Beat: good.Beat, Ack: good.Ack, Nonces: good.Nonces, Tree: good.Tree}},
	} {
		if _, err := c.w.Attest(now, c.s); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", c.name, err, c.want)
		}
	}
	if _, err := attest.Begin(a, public(worker), epoch, random(1)); !errors.Is(err, attest.ErrNotNamed) {
		t.Errorf("not named: %v", err)
	}
}

func TestARestartedWitnessGoesOnFromItsLastWord(t *testing.T) {
	a := agreement("GPU-1", public(witness))
	w, now, c := must(attest.Begin(a, public(witness), epoch, random(7))), epoch, begin(a)
	w, leaf := asked(t, w, &now, 1)
	m := must(w.Attest(now, c.beat(leaf)))
	s := must(statement.Sign(witness, statement.TypeAttest, m))
	v := must(statement.Open[*leasev1.Attest](s, statement.TypeAttest, public(witness)))
	back := must(attest.Begin(a, public(witness), epoch.Add(time.Hour), random(9))).Recall(v, random(3))
	if _, err := back.Attest(now, begin(a).beat(make([]byte, 32))); !errors.Is(err, attest.ErrTwoHeads) {
		t.Errorf("another head after a restart: %v", err)
	}
	back, leaf = asked(t, back, &now, 4)
	next := must(back.Attest(now, c.later(c.beat(leaf), m)))
	hash := v.Hash()
	if next.Attested != 1 || !bytes.Equal(next.Previous, hash[:]) || next.FirstMs != m.FirstMs {
		t.Errorf("goes on with %v", next)
	}
}

func TestAnOverlapIsProvedByTheOtherLeasesTerms(t *testing.T) {
	mine, other, elsewhere := agreement("GPU-1", public(witness)), agreement("GPU-1", public(witness), public(key('b'))), agreement("GPU-2", public(witness))
	proof := func(a lease.Agreement) *leasev1.Overlap {
		return &leasev1.Overlap{WorkerTerms: a.Signed(lease.Worker), RequesterTerms: a.Signed(lease.Requester)}
	}
	if err := attest.CheckOverlap(mine.Terms, proof(other), public(witness)); err != nil {
		t.Error(err)
	}
	broken := proof(other)
	broken.RequesterTerms = &marketv1.Signed{Type: "terms", Payload: broken.RequesterTerms.Payload, Signature: make([]byte, 64)}
	for name, o := range map[string]*leasev1.Overlap{
		"nothing": nil, "this lease": proof(mine), "another device": proof(elsewhere), "a broken signature": broken,
	} {
		if attest.CheckOverlap(mine.Terms, o, public(witness)) == nil {
			t.Errorf("%s proves it", name)
		}
	}
	w := must(attest.Begin(mine, public(witness), epoch, random(1)))
	if !w.Alive(epoch.Add(40*time.Minute)) || w.Alive(epoch.Add(51*time.Minute)) {
		t.Error("a silent lease lives for its absent grace and two periods")
	}
}

// FuzzShown: whatever a worker shows, nothing panics, and nothing but the very beat
// is attested to.
func FuzzShown(f *testing.F) {
	a := agreement("GPU-1", public(witness))
	w, _ := must(attest.Begin(a, public(witness), epoch, random(7))).Ask(epoch.Add(time.Minute), random(1))
	leaf := heartbeat.NonceLeaf(w.ID(), 0, w.Waiting().Nonce)
	good := begin(a).beat(leaf[:])
	f.Add(must(proto.Marshal(good)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &leasev1.Shown{}
		if proto.Unmarshal(b, s) != nil {
			return
		}
		m, err := w.Attest(epoch.Add(time.Minute), s)
		if err == nil && (!bytes.Equal(s.Beat.Payload, good.Beat.Payload) || heartbeat.CheckAttest(m) != nil) {
			t.Errorf("attested to %v: %v", s, m)
		}
	})
}

// FuzzWatch: nobody has a witness watch what two did not sign.
func FuzzWatch(f *testing.F) {
	a := agreement("GPU-1", public(witness))
	terms := func(signature []byte) *marketv1.Signed {
		return &marketv1.Signed{Type: string(statement.TypeTerms), Payload: a.Payload, Signature: signature}
	}
	f.Add(must(proto.Marshal(&leasev1.Watch{WorkerTerms: terms(a.WorkerSig), RequesterTerms: terms(a.RequesterSig)})))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &leasev1.Watch{}
		if proto.Unmarshal(b, m) != nil {
			return
		}
		got, err := lease.NewAgreement(m.WorkerTerms, m.RequesterTerms)
		if err != nil {
			return
		}
		if w, err := attest.Begin(got, public(witness), epoch, random(7)); err == nil && w.ID() != a.ID() {
			t.Errorf("watches %v", m)
		}
	})
}
