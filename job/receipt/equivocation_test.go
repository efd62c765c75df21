package receipt_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/statement"
)

// twice is an equivocation in the worked lease: the last statement of a type, and what
// its signer makes of it otherwise.
func twice[M proto.Message](t testing.TB, typ statement.Type, m M, change func(M)) *leasev1.Equivocation {
	first, key := sample(t, typ)
	if err := proto.Unmarshal(first.Payload, m); err != nil {
		t.Fatal(err)
	}
	change(m)
	s := twoBeats(t)
	return &leasev1.Equivocation{
		Version: 1, Terms: s.said[0].Payload, TermsWorkerSignature: s.said[0].Signature, TermsRequesterSignature: s.said[1].Signature,
		First: first, Second: must(statement.Sign(key, typ, m)),
	}
}

func twoBeatsForOneInterval(t testing.TB) *leasev1.Equivocation {
	return twice(t, statement.TypeBeat, &leasev1.Beat{}, func(b *leasev1.Beat) { b.CreditMs += 500 })
}

func twoAcksOfOneBeat(t testing.TB) *leasev1.Equivocation {
	return twice(t, statement.TypeAck, &leasev1.Ack{}, func(a *leasev1.Ack) { a.BeatHash = bytes.Repeat([]byte{9}, 32) })
}

// twoHeadsOfOneBeat is a witness's. The worked lease has none, so this one's terms do.
func twoHeadsOfOneBeat(t testing.TB) *leasev1.Equivocation {
	r := dayOf(t, 4, 1).Receipt
	a := &leasev1.Attest{}
	if err := proto.Unmarshal(r.Witnessed[0].Attest, a); err != nil {
		t.Fatal(err)
	}
	a.Head = bytes.Repeat([]byte{9}, 32)
	return &leasev1.Equivocation{
		Version: 1, Terms: r.Terms, TermsWorkerSignature: r.TermsWorkerSignature, TermsRequesterSignature: r.TermsRequesterSignature,
		First:  &marketv1.Signed{Type: "attest", Payload: r.Witnessed[0].Attest, Signature: r.Witnessed[0].Signature},
		Second: must(statement.Sign(witnessKeys[0], statement.TypeAttest, a)),
	}
}

func TestEquivocationSaysWhoSignedWhatTwice(t *testing.T) {
	for _, c := range []struct {
		proof            *leasev1.Equivocation
		role, slot, text string
	}{
		{twoBeatsForOneInterval(t), "worker", "interval 2", "22.5s"},
		{twoAcksOfOneBeat(t), "requester", "heartbeat 2", "two different acks for heartbeat 2"},
		{twoHeadsOfOneBeat(t), "witness", "heartbeat 1", "two different attestations for heartbeat 1"},
	} {
		f, err := receipt.VerifyEquivocation(must(receipt.MarshalEquivocation(c.proof)))
		if err != nil || f.Role != c.role || f.Slot != c.slot || f.Said[0].Hash == f.Said[1].Hash {
			t.Errorf("%+v, %v", f, err)
		}
		var text strings.Builder
		if err := f.Text(&text); err != nil || !strings.Contains(text.String(), c.text) {
			t.Errorf("%v\n%s", err, text.String())
		}
	}
}

// TestFaultOfALeaseIsProved takes the proof from the lease that found it.
func TestFaultOfALeaseIsProved(t *testing.T) {
	s := threeBeats(t)
	signed, _ := sample(t, statement.TypeBeat)
	b := &leasev1.Beat{}
	if err := proto.Unmarshal(signed.Payload, b); err != nil {
		t.Fatal(err)
	}
	b.WorkerMs++
	other := padded(must(statement.Sign(workerKey, statement.TypeBeat, b)))
	s.deaf = lease.Worker
	s.step(lease.Requester, lease.BeatReceived{Beat: must(statement.Open[*leasev1.Beat](other, statement.TypeBeat, publicOf(workerKey)))})
	l := s.lease[lease.Requester]
	if l.State() != lease.Fault {
		t.Fatalf("the lease is %s", l.State())
	}
	f, err := receipt.VerifyEquivocation(must(receipt.MarshalEquivocation(l.Equivocation())))
	if err != nil || f.Role != "worker" {
		t.Errorf("%+v, %v", f, err)
	}
	if s.lease[lease.Worker].Equivocation() != nil {
		t.Error("a lease without a fault has a proof of one")
	}
}

func TestNoEquivocationIsMadeOfWhatIsAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*leasev1.Equivocation)
		want   error
	}{
		"the same twice":      {func(e *leasev1.Equivocation) { e.Second = e.First }, receipt.ErrChain},
		"two types":           {func(e *leasev1.Equivocation) { e.Second = twoAcksOfOneBeat(t).First }, receipt.ErrChain},
		"another type":        {func(e *leasev1.Equivocation) { e.First, _ = sample(t, statement.TypeChallenge) }, statement.ErrType},
		"another interval":    {func(e *leasev1.Equivocation) { e.Second = beatWith(t, func(b *leasev1.Beat) { b.Interval = 2 }) }, receipt.ErrChain},
		"another lease":       {func(e *leasev1.Equivocation) { e.Second = beatWith(t, func(b *leasev1.Beat) { b.LeaseId[0] ^= 1 }) }, receipt.ErrChain},
		"a false signature":   {func(e *leasev1.Equivocation) { e.Second.Signature[3] ^= 1 }, statement.ErrSignature},
		"terms of one side":   {func(e *leasev1.Equivocation) { e.TermsRequesterSignature = e.TermsWorkerSignature }, statement.ErrSignature},
		"a statement missing": {func(e *leasev1.Equivocation) { e.Second = nil }, statement.ErrType},
	} {
		e := proto.CloneOf(twoBeatsForOneInterval(t))
		c.change(e)
		if f, err := receipt.VerifyEquivocation(must(receipt.MarshalEquivocation(e))); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	same := twoHeadsOfOneBeat(t)
	a := &leasev1.Attest{}
	if err := proto.Unmarshal(same.First.Payload, a); err != nil {
		t.Fatal(err)
	}
	a.AttestedMs++
	same.Second = must(statement.Sign(witnessKeys[0], statement.TypeAttest, a))
	if _, err := receipt.VerifyEquivocation(must(receipt.MarshalEquivocation(same))); !errors.Is(err, receipt.ErrChain) {
		t.Errorf("a witness says the same again: %v", err)
	}
}

// beatWith is the last beat of the worked lease, changed and signed again.
func beatWith(t testing.TB, change func(*leasev1.Beat)) *marketv1.Signed {
	return twice(t, statement.TypeBeat, &leasev1.Beat{}, change).Second
}

func TestEveryFlippedByteOfAnEquivocationIsRefused(t *testing.T) {
	flipEachByte(t, must(receipt.MarshalEquivocation(twoBeatsForOneInterval(t))), 1, func(b []byte) error {
		_, err := receipt.VerifyEquivocation(b)
		return err
	})
}

func FuzzVerifyEquivocation(f *testing.F) {
	addVectors(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, b := range [][]byte{file, resum(file)} {
			if fault, err := receipt.VerifyEquivocation(b); err == nil && fault.Said[0].Hash == fault.Said[1].Hash {
				t.Errorf("proved by one statement: %+v", fault)
			}
		}
	})
}

func FuzzVerifyWhole(f *testing.F) {
	addVectors(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, b := range [][]byte{file, resum(file)} {
			if a, err := (receipt.Policy{}).VerifyWhole(b); err == nil && (a.Level == "" || a.Seals.Beats != a.Beats) {
				t.Errorf("verified as %+v", a)
			}
		}
	})
}
