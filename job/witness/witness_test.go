package witness_test

import (
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/attest"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/session/sessiontest"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/job/witness"
)

var workerKey, requesterKey, witnessKey = sessiontest.Key("worker"), sessiontest.Key("requester"), sessiontest.Key("witness")

func newWitness(t *testing.T, j *sessiontest.Journal) *witness.Witness {
	t.Helper()
	guard := session.NewGuard(j, sessiontest.Public(witnessKey))
	w := witness.New(witness.Config{Key: witnessKey, Network: "test", Now: time.Now, Journal: guard, Log: slog.New(slog.DiscardHandler)})
	if err := errors.Join(guard.Learn(j.Replay), w.Restore(j.Replay)); err != nil {
		t.Fatal(err)
	}
	return w
}

// pair is a lease that names the witness, both sides of it.
type pair struct {
	t                 *testing.T
	key               ed25519.PrivateKey // the worker's
	worker, requester lease.Lease
	ticks             byte
}

func newPair(t *testing.T, change func(*leasev1.Terms)) *pair {
	t.Helper()
	return newPairOf(t, workerKey, change)
}

func newPairOf(t *testing.T, worker ed25519.PrivateKey, change func(*leasev1.Terms)) *pair {
	t.Helper()
	terms := sessiontest.Terms(worker, requesterKey, time.Now())
	terms.AbsentGraceMs, terms.MaxDurationMs = 3_600_000, 86_400_000
	terms.Witnesses, terms.WitnessQuorum = [][]byte{sessiontest.Public(witnessKey)}, 1
	if change != nil {
		change(terms)
	}
	p := &pair{t: t, key: worker}
	p.worker, p.requester = sessiontest.Lease(t, worker, requesterKey, terms, time.Now())
	return p
}

// beat plays one heartbeat, and gives what the witness is to be shown.
func (p *pair) beat() *leasev1.Shown {
	p.t.Helper()
	time.Sleep(time.Until(p.requester.Deadline()))
	p.ticks++
	var shown *leasev1.Shown
	tick := lease.Tick{}
	tick.Random[0], tick.Random[lease.RandomSize-1] = p.ticks, 1
	say := p.step(&p.requester, tick)
	c := open[*leasev1.Challenge](p.t, say, statement.TypeChallenge, requesterKey)
	say = p.step(&p.worker, lease.Challenged{Challenge: c, Evidence: &leasev1.Evidence{}})
	b := open[*leasev1.Beat](p.t, say, statement.TypeBeat, workerKey)
	say = p.step(&p.requester, lease.BeatReceived{Beat: b})
	a := open[*leasev1.Ack](p.t, say, statement.TypeAck, requesterKey)
	for _, ef := range p.step(&p.worker, lease.Acked{Ack: a}) {
		if s, ok := ef.(lease.ShowWitness); ok {
			shown = s.Shown
		}
	}
	return shown
}

func (p *pair) step(l *lease.Lease, ev lease.Event) []lease.Effect {
	p.t.Helper()
	next, effects, err := l.Step(time.Now(), ev)
	if err != nil {
		p.t.Fatal(err)
	}
	*l = next
	return effects
}

func open[M proto.Message](t *testing.T, effects []lease.Effect, typ statement.Type, key ed25519.PrivateKey) statement.Verified[M] {
	t.Helper()
	for _, s := range lease.Statements(effects) {
		if s.Type == string(typ) {
			v, err := statement.Open[M](s, typ, sessiontest.Public(key))
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s", typ)
	panic("unreachable")
}

// ask begins a stream for the lease.
func (p *pair) ask(w *witness.Witness) *session.PipeEnd {
	p.t.Helper()
	near, far := session.Pipe(sessiontest.Peer(p.t, p.key), sessiontest.Peer(p.t, witnessKey))
	p.t.Cleanup(near.Reset)
	go func() {
		_ = w.Serve(far.Context(), far)
		_ = far.Close() // and no Reset, which may overtake the last word
	}()
	a := p.worker.Agreement
	p.send(near, &leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Watch{Watch: &leasev1.Watch{
		WorkerTerms: a.Signed(lease.Worker), RequesterTerms: a.Signed(lease.Requester),
	}}})
	return near
}

func (p *pair) send(link *session.PipeEnd, m *leasev1.WatchFrame) {
	p.t.Helper()
	if err := link.Send(m); err != nil {
		p.t.Fatal(err)
	}
}

func hear(t *testing.T, link *session.PipeEnd) *leasev1.WitnessFrame {
	t.Helper()
	var f leasev1.WitnessFrame
	if err := link.Recv(&f); err != nil {
		t.Fatal(err)
	}
	return &f
}

// attested lets the witness ask, beat, and attest.
func (p *pair) attested(link *session.PipeEnd) {
	p.t.Helper()
	n := hear(p.t, link).GetNonce()
	if n == nil {
		p.t.Fatal("want a nonce")
	}
	p.step(&p.worker, lease.NonceReceived{Nonce: [32]byte(n.Nonce)})
	p.show(link, p.beat())
}

func (p *pair) show(link *session.PipeEnd, s *leasev1.Shown) {
	p.t.Helper()
	p.send(link, &leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Shown{Shown: s}})
	ev, err := p.worker.OpenAttest(hear(p.t, link).GetAttest())
	if err != nil {
		p.t.Fatal(err)
	}
	p.step(&p.worker, ev)
	p.step(&p.requester, ev)
}

func TestAWitnessAttestsInEachPeriodAlsoAcrossItsOwnRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &sessiontest.Journal{}
		p := newPair(t, nil)
		p.beat()
		link := p.ask(newWitness(t, kept))
		p.attested(link)
		p.attested(link)
		link.Reset()
		link = p.ask(newWitness(t, kept))
		if a := hear(t, link).GetAttest(); a == nil {
			t.Error("a new stream does not begin with the last word")
		}
		p.attested(link)
		if got := p.worker.Attests(); len(got) != 3 {
			t.Errorf("%d attestations after three periods", len(got))
		}
		if w, r := p.worker.Receipt(), p.requester.Receipt(); len(w.Witnessed) != 3 || len(r.Witnessed) != 3 {
			t.Errorf("receipts with %d and %d attestations", len(w.Witnessed), len(r.Witnessed))
		}
		p.send(link, &leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Over{Over: &leasev1.Over{}}})
		if err := link.Recv(&leasev1.WitnessFrame{}); !errors.Is(err, io.EOF) && err == nil {
			t.Errorf("after the end: %v", err)
		}
		if no := hear(t, p.ask(newWitness(t, kept))).GetRefused(); no.GetReason() != leasev1.WatchRefusal_WATCH_REFUSAL_ENDED {
			t.Errorf("a lease that is over: %v", no)
		}
	})
}

func TestASecondLeaseOfADeviceIsRefusedWithProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &sessiontest.Journal{}
		w := newWitness(t, kept)
		first := newPair(t, nil)
		first.beat()
		link := first.ask(w)
		first.attested(link)
		second := newPair(t, func(terms *leasev1.Terms) { terms.WorkerNonce = make([]byte, 16) })
		for name, at := range map[string]*witness.Witness{"at once": w, "after a restart": newWitness(t, kept)} {
			no := hear(t, second.ask(at)).GetRefused()
			if no.GetReason() != leasev1.WatchRefusal_WATCH_REFUSAL_OVERLAP || no.Overlap.GetAttest() == nil {
				t.Errorf("%s: %v", name, no)
			}
			if err := attest.CheckOverlap(second.worker.Agreement.Terms, no.GetOverlap(), sessiontest.Public(witnessKey)); err != nil {
				t.Errorf("%s: the proof does not hold: %v", name, err)
			}
		}
		first.send(link, &leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Over{Over: &leasev1.Over{}}})
		synctest.Wait()
		if n := hear(t, second.ask(w)).GetNonce(); n == nil {
			t.Error("after the first lease ended the second is not watched")
		}
	})
}

func TestAWitnessRefusesWhatItIsNotFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWitness(t, &sessiontest.Journal{})
		for name, change := range map[string]func(*leasev1.Terms){
			"terms that name another witness": func(terms *leasev1.Terms) { terms.Witnesses[0] = sessiontest.Public(sessiontest.Key("other")) },
			"another network":                 func(terms *leasev1.Terms) { terms.Network = "elsewhere" },
		} {
			if no := hear(t, newPair(t, change).ask(w)).GetRefused(); no.GetReason() != leasev1.WatchRefusal_WATCH_REFUSAL_INVALID {
				t.Errorf("%s: %v", name, no)
			}
		}
		p := newPair(t, nil)
		p.beat()
		link := p.ask(w)
		n := hear(t, link).GetNonce()
		p.step(&p.worker, lease.NonceReceived{Nonce: [32]byte(n.Nonce)})
		s := p.beat()
		s.Tree[0][0] ^= 1
		p.send(link, &leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Shown{Shown: s}})
		if no := hear(t, link).GetRefused(); no.GetReason() != leasev1.WatchRefusal_WATCH_REFUSAL_INVALID {
			t.Errorf("another tree: %v", no)
		}
	})
}

func TestWhatAWorkerOfALaterVersionSaysBesidesIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, nil)
		p.beat()
		link := p.ask(newWitness(t, &sessiontest.Journal{}))
		for range 20 {
			p.send(link, sessiontest.Later(&leasev1.WatchFrame{}))
		}
		p.attested(link)
		p.send(link, &leasev1.WatchFrame{Frame: &leasev1.WatchFrame_Watch{Watch: &leasev1.Watch{}}}) // known, and not for here
		if no := hear(t, link).GetRefused(); no.GetReason() != leasev1.WatchRefusal_WATCH_REFUSAL_INVALID {
			t.Errorf("a second beginning: %v", no)
		}
	})
}
