package receipt_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/heartbeat/seal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/receipt"
)

// replay audits a receipt with the chain behind it.
func replay(r *leasev1.Receipt, chain *leasev1.Chain) (receipt.Seals, error) {
	a, err := receipt.Policy{}.Audit(&leasev1.Whole{Version: 1, Receipt: r, Chain: chain})
	return a.Seals, err
}

// seal makes the seal that is wanted and brings it to the requester.
func (s *sides) seal() {
	p, seq, beat, wanted := s.lease[lease.Worker].ToSeal()
	if !wanted {
		s.t.Fatal("nothing to seal")
	}
	made := must(seal.Make(p, beat))
	id := s.lease[lease.Worker].ID()
	made.LeaseId, made.Seq = id[:], seq
	s.step(lease.Worker, lease.SealReady{Seal: made})
	s.step(lease.Requester, must(s.lease[lease.Requester].OpenSeal(made)))
}

// sealedTerms are of a lease in suite 1.
func sealedTerms() *leasev1.Terms {
	terms := exampleTerms()
	terms.SealSuite, terms.SealModulus, terms.SealT = job.SealWesolowski, job.SealRSA2048, job.MinSealT
	return terms
}

// sealedLease has four beats, of which the third is not sealed.
func sealedLease(t *testing.T) (*leasev1.Receipt, *leasev1.Chain) {
	s := begin(t, sealedTerms())
	for i := range byte(4) {
		s.tick(0xa0 + i)
		s.after(time.Second)
		if i == 0 {
			s.step(lease.Worker, lease.TaskRunning{})
		}
		if i != 2 {
			s.seal()
		}
		s.after(12 * time.Second)
	}
	s.exit()
	worker := must(lease.Chain(s.config[lease.Worker], time.UnixMilli(beginMs), s.records[lease.Worker]))
	requester := must(lease.Chain(s.config[lease.Requester], time.UnixMilli(beginMs), s.records[lease.Requester]))
	if !proto.Equal(worker, requester) {
		t.Fatal("the two journals give different chains")
	}
	for r, l := range s.lease {
		if l.Sealed() != 3 {
			t.Errorf("%s knows %d seals", r, l.Sealed())
		}
	}
	return s.lease[lease.Requester].Receipt(), requester
}

func TestChainBehindAReceiptTellsWhatIsSealed(t *testing.T) {
	r, chain := sealedLease(t)
	got, err := replay(r, chain)
	if want := (receipt.Seals{Beats: 4, Named: 3, Sealed: 3, Squarings: job.MinSealT}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	chain.Links[1].Seal = nil
	got, err = replay(r, chain)
	if err != nil || got.Named != 3 || got.Sealed != 2 {
		t.Errorf("with a seal missing: %+v, %v", got, err)
	}
}

func TestChainWithoutSealsIsChecked(t *testing.T) {
	s := twoBeats(t)
	s.exit()
	chain := must(lease.Chain(s.config[lease.Worker], time.UnixMilli(beginMs), s.records[lease.Worker]))
	got, err := replay(s.lease[lease.Worker].Receipt(), chain)
	if err != nil || got != (receipt.Seals{Beats: 2}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestChainsThatDoNotBelongToTheReceiptAreRefused(t *testing.T) {
	r, good := sealedLease(t)
	for name, change := range map[string]func(*leasev1.Chain){
		"no links":             func(c *leasev1.Chain) { c.Links = nil },
		"the first is missing": func(c *leasev1.Chain) { c.Links = c.Links[1:] },
		"the last is missing":  func(c *leasev1.Chain) { c.Links = c.Links[:3] },
		"one is missing":       func(c *leasev1.Chain) { c.Links = append(c.Links[:1:1], c.Links[2:]...) },
		"one is there twice":   func(c *leasev1.Chain) { c.Links = append(c.Links, c.Links[3]) },
		"two are exchanged":    func(c *leasev1.Chain) { c.Links[1], c.Links[2] = c.Links[2], c.Links[1] },
		"a seal of another":    func(c *leasev1.Chain) { c.Links[0].Seal = c.Links[1].Seal },
		"a seal changed":       func(c *leasev1.Chain) { c.Links[0].Seal.Y[255] ^= 1 },
		"a seal cut short":     func(c *leasev1.Chain) { c.Links[0].Seal.Y = nil },
	} {
		c := proto.Clone(good).(*leasev1.Chain)
		change(c)
		if _, err := replay(r, c); !errors.Is(err, receipt.ErrChain) {
			t.Errorf("%s: %v", name, err)
		}
	}
	proof := proto.Clone(good).(*leasev1.Chain)
	proof.Links[0].Seal.Pi[255] ^= 1
	if _, err := replay(r, proof); !errors.Is(err, seal.ErrProof) {
		t.Errorf("a proof changed: %v", err)
	}
	bad := proto.Clone(good).(*leasev1.Chain)
	bad.Links[2].Beat.Signature[5] ^= 1
	if _, err := replay(r, bad); err == nil {
		t.Error("a beat with another signature is taken")
	}
}

// folded is that lease with one proof for all of its seals.
func folded(t *testing.T) *leasev1.Whole {
	r, chain := sealedLease(t)
	w := &leasev1.Whole{Version: 1, Receipt: r, Chain: chain}
	work := must(receipt.BeginFold(w))
	for !work.Step(1 << 20) {
	}
	receipt.Fold(chain, work.Seal())
	return w
}

func TestASealThatNobodyNamedIsLeftOut(t *testing.T) {
	s := begin(t, sealedTerms())
	s.tick(0xa0)
	s.after(time.Second)
	s.step(lease.Worker, lease.TaskRunning{})
	s.seal() // both have it, and then nothing follows
	chain := must(lease.Chain(s.config[lease.Requester], time.UnixMilli(beginMs), s.records[lease.Requester]))
	if chain.Links[0].Seal != nil {
		t.Error("it is there")
	}
	if got, err := replay(s.lease[lease.Requester].Receipt(), chain); err != nil || got.Beats != 1 || got.Named != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOneProofWillDoForAllSealsOfAChain(t *testing.T) {
	w := folded(t)
	for _, link := range w.Chain.Links {
		if link.Seal.GetPi() != nil || link.Seal.GetPrimeCounter() != 0 {
			t.Error("a seal has a proof of its own all the same")
		}
	}
	if got, err := replay(w.Receipt, w.Chain); err != nil || got.Sealed != 3 || !got.Folded {
		t.Errorf("%+v, %v", got, err)
	}
	w.Chain.Links[0].Seal = nil
	if _, err := replay(w.Receipt, w.Chain); !errors.Is(err, seal.ErrProof) {
		t.Errorf("with a seal less: %v", err)
	}
}

// The worker signs the name of a seal that does not hold. Nothing stops it: the
// requester sees no good seal, and whoever is shown the chain sees a bad one.
func TestNamedSealThatDoesNotHoldIsFound(t *testing.T) {
	s := begin(t, sealedTerms())
	s.tick(0xa0)
	s.after(time.Second)
	s.step(lease.Worker, lease.TaskRunning{})
	p, _, beat, _ := s.lease[lease.Worker].ToSeal()
	bad := must(seal.Make(p, beat))
	id := s.lease[lease.Worker].ID()
	bad.LeaseId, bad.Pi[255] = id[:], bad.Pi[255]^1
	s.step(lease.Worker, lease.SealReady{Seal: bad})
	if _, err := s.lease[lease.Requester].OpenSeal(bad); !errors.Is(err, seal.ErrProof) {
		t.Fatalf("the requester takes it: %v", err)
	}
	s.after(12 * time.Second)
	s.tick(0xa1)
	s.after(time.Second)
	s.exit()
	if n := s.lease[lease.Requester].Sealed(); n != 0 {
		t.Errorf("the requester counts %d seals", n)
	}
	chain := must(lease.Chain(s.config[lease.Worker], time.UnixMilli(beginMs), s.records[lease.Worker]))
	if _, err := replay(s.lease[lease.Worker].Receipt(), chain); !errors.Is(err, seal.ErrProof) {
		t.Errorf("the bad seal: %v", err)
	}
}

func TestSealsThatDoNotFitTheLeaseAreRefused(t *testing.T) {
	s := begin(t, sealedTerms())
	if _, _, _, wanted := s.lease[lease.Worker].ToSeal(); wanted {
		t.Error("a seal is wanted before the first beat")
	}
	s.tick(0xa0)
	p, _, beat, _ := s.lease[lease.Worker].ToSeal()
	good := must(seal.Make(p, beat))
	id := s.lease[lease.Worker].ID()
	good.LeaseId = id[:]
	for name, c := range map[string]struct {
		change func(*leasev1.Seal)
		want   error
	}{
		"another lease": {func(m *leasev1.Seal) { m.LeaseId = make([]byte, 32) }, lease.ErrLease},
		"a later beat":  {func(m *leasev1.Seal) { m.Seq = 1 }, lease.ErrSeal},
		"no beat":       {func(m *leasev1.Seal) { m.Seq = 1<<64 - 1 }, lease.ErrStale},
		"no answer":     {func(m *leasev1.Seal) { m.Y = nil }, seal.ErrForm},
	} {
		m := proto.Clone(good).(*leasev1.Seal)
		c.change(m)
		if _, err := s.lease[lease.Requester].OpenSeal(m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := s.lease[lease.Worker].Step(s.at, lease.SealReady{Seal: m}); !errors.Is(err, c.want) {
			t.Errorf("%s, on the worker: %v", name, err)
		}
	}
	if _, err := s.lease[lease.Worker].OpenSeal(good); !errors.Is(err, lease.ErrRole) {
		t.Errorf("the worker opens it: %v", err)
	}
	if _, err := twoBeats(t).lease[lease.Requester].OpenSeal(good); !errors.Is(err, lease.ErrTerms) {
		t.Errorf("in suite 0: %v", err)
	}
}
