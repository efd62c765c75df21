package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/statement"
)

// whole is everything there is of the worked lease, which has two beats.
func whole(t testing.TB) *leasev1.Whole {
	s := twoBeats(t)
	s.exit()
	chain := must(lease.Chain(s.config[lease.Worker], time.UnixMilli(beginMs), s.records[lease.Worker]))
	bid, _ := sample(t, statement.TypeBid)
	return &leasev1.Whole{
		Version: 1, Receipt: s.lease[lease.Worker].Receipt(), Chain: chain, Bid: bid,
		Opened: []*leasev1.Opened{{Beat: 1, Samples: exampleSamples(0, 12)}, {Beat: 2, Samples: exampleSamples(12, 14)}},
	}
}

func TestWholeLeaseIsReplayedWithItsSamples(t *testing.T) {
	file := must(receipt.MarshalWhole(whole(t)))
	a, err := receipt.Policy{}.VerifyWhole(file)
	if err != nil {
		t.Fatal(err)
	}
	if a.Samples != (receipt.Samples{Committed: 14, Opened: 14}) || a.Proof != "signed by both; replayed" || a.Devices[0] != "rtx-4090" {
		t.Errorf("%+v", a)
	}
	r, chain := sealedLease(t)
	a, err = receipt.Policy{}.Audit(&leasev1.Whole{Version: 1, Receipt: r, Chain: chain})
	if err != nil || !strings.HasSuffix(a.Proof, "replayed with seals") {
		t.Errorf("sealed: %q, %v", a.Proof, err)
	}
	chain.Links[0].Seal = nil
	if a, err := (receipt.Policy{}).Audit(&leasev1.Whole{Version: 1, Receipt: r, Chain: chain}); err != nil || !strings.HasSuffix(a.Proof, "without all of its seals") {
		t.Errorf("a seal is missing: %q, %v", a.Proof, err)
	}
}

func TestWholeLeasesThatDoNotHoldAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*leasev1.Whole)
		want   error
	}{
		"a sample left out":       {func(w *leasev1.Whole) { w.Opened[0].Samples = w.Opened[0].Samples[1:] }, evidence.ErrRoot},
		"a sample changed":        {func(w *leasev1.Whole) { w.Opened[0].Samples[3][2] ^= 1 }, evidence.ErrRoot},
		"samples of another beat": {func(w *leasev1.Whole) { w.Opened[0].Beat = 0 }, evidence.ErrRoot},
		"samples of no beat":      {func(w *leasev1.Whole) { w.Opened[1].Beat = 3 }, receipt.ErrChain},
		"samples twice":           {func(w *leasev1.Whole) { w.Opened[1] = w.Opened[0] }, receipt.ErrChain},
		"no chain":                {func(w *leasev1.Whole) { w.Chain = nil }, receipt.ErrChain},
		"a beat missing":          {func(w *leasev1.Whole) { w.Chain.Links = w.Chain.Links[1:] }, receipt.ErrChain},
		"no receipt":              {func(w *leasev1.Whole) { w.Receipt = nil }, statement.ErrVersion},
		"an ack's signature":      {func(w *leasev1.Whole) { w.Chain.Links[0].Ack.Signature[7] ^= 1 }, statement.ErrSignature},
		"a bid of another worker's": {func(w *leasev1.Whole) {
			w.Bid = bidWith(t, func(b *marketv1.Bid) { b.Nonce = bytes.Repeat([]byte{9}, 16) })
		}, receipt.ErrChain},
		"a bid for other devices": {func(w *leasev1.Whole) {
			w.Bid = bidWith(t, func(b *marketv1.Bid) { b.Devices[0].Tag = bytes.Repeat([]byte{9}, 32) })
		}, receipt.ErrChain},
	} {
		w := proto.CloneOf(whole(t))
		c.change(w)
		if _, err := (receipt.Policy{}).Audit(w); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, not %v", name, err, c.want)
		}
	}
}

// bidWith is the worker's bid, changed and signed again.
func bidWith(t testing.TB, change func(*marketv1.Bid)) *marketv1.Signed {
	signed, key := sample(t, statement.TypeBid)
	b := &marketv1.Bid{}
	if err := proto.Unmarshal(signed.Payload, b); err != nil {
		t.Fatal(err)
	}
	change(b)
	return must(statement.Sign(key, statement.TypeBid, b))
}

func TestEveryFlippedByteOfAWholeLeaseIsRefused(t *testing.T) {
	r, chain := sealedLease(t)
	for name, w := range map[string]*leasev1.Whole{
		"samples": whole(t), "seals": {Version: 1, Receipt: r, Chain: chain}, "one proof": folded(t),
	} {
		t.Run(name, func(t *testing.T) {
			flipEachByte(t, must(receipt.MarshalWhole(w)), 11, func(b []byte) error {
				_, err := receipt.Policy{}.VerifyWhole(b)
				return err
			})
		})
	}
}

// flipEachByte changes every n-th byte of a file, with the sum made anew, and
// wants it refused.
func flipEachByte(t *testing.T, file []byte, n int, verify func([]byte) error) {
	t.Helper()
	body := len(file) - 32
	for i := 0; i < body; i += n {
		bad := bytes.Clone(file[:body])
		bad[i] ^= 1 << (i % 8)
		if verify(resum(bad)) == nil {
			t.Errorf("byte %d of %d changed, and it verifies", i, body)
		}
	}
}

func TestGapsAreNamedWithTheirReason(t *testing.T) {
	s := begin(t, exampleTerms())
	s.tick(0xa0)
	s.after(time.Second)
	s.step(lease.Worker, lease.TaskRunning{})
	s.after(12 * time.Second)
	s.tick(0xa1)
	s.after(45 * time.Second) // nobody looks; the worker freezes its task meanwhile
	s.tick(0xa2)
	s.after(2 * time.Second)
	s.exit()
	chain := must(lease.Chain(s.config[lease.Requester], time.UnixMilli(beginMs), s.records[lease.Requester]))
	a, err := receipt.Policy{}.Audit(&leasev1.Whole{Version: 1, Receipt: s.lease[lease.Requester].Receipt(), Chain: chain})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Gaps) != 1 || a.Gaps[0].Missed != 3 || a.Gaps[0].UnpaidMS != 45_000-20_000 {
		t.Fatalf("%+v", a.Gaps)
	}
	var text strings.Builder
	if err := a.Text(&text); err != nil || !strings.Contains(text.String(), "no heartbeat for 3 intervals, 25s not credited") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestTextSaysWhatIsNotProved(t *testing.T) {
	r, chain := sealedLease(t)
	plain := must(receipt.VerifyReceipt(closed(t)))
	audit := must(receipt.Policy{}.Audit(&leasev1.Whole{Version: 1, Receipt: r, Chain: chain}))
	whole := must(receipt.Policy{}.Audit(whole(t)))
	for name, c := range map[string]struct {
		text func(*strings.Builder) error
		has  []string
	}{
		"receipt": {func(b *strings.Builder) error { return plain.Text(b) }, []string{
			"amount     0.001385 credits, at 0.35 per GPU-hour\n", "energy     0.7 Wh", "proof      signed by both\n",
			"times are the signers' own", "that a GPU did the work",
		}},
		"audit":   {func(b *strings.Builder) error { return audit.Text(b) }, []string{"seals      3 of 4 heartbeats, 1024 squarings", "a floor and not a clock", "samples    none of"}},
		"samples": {func(b *strings.Builder) error { return whole.Text(b) }, []string{"GPU        1 × rtx-4090, ", "samples    14 of 14 opened"}},
	} {
		var b strings.Builder
		if err := c.text(&b); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.has {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, b.String())
			}
		}
	}
}

func TestAMomentThatIsNotCreditedIsNoGap(t *testing.T) {
	for ran, want := range map[uint64]string{
		2000: "gaps       none\n",
		2025: "gaps       none to speak of: 25ms of 2.025s were not credited\n",
		4000: "gaps       2s of 4s were not credited; rigmesh receipt audit says where\n",
	} {
		var b strings.Builder
		if err := (receipt.Summary{CreditMS: 2000, Exit: &receipt.Exit{RanMS: ran}}).Text(&b); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("ran for %d ms, %v: no %q in\n%s", ran, err, want, b.String())
		}
	}
}

func TestEnergyIsWrittenToTheMilliwattHour(t *testing.T) {
	for mj, want := range map[uint64]string{
		0: "0.000000", 3_599: "0.000000", 3_600: "0.000001", 3_600_000_000: "1.000000", 43_199_999_999: "11.999999", 1<<64 - 1: "5124095576.030431",
	} {
		if got := receipt.KWh(mj); got != want {
			t.Errorf("%d mJ: %s, not %s", mj, got, want)
		}
	}
}

var witnessKeys = []ed25519.PrivateKey{keyFrom(0x61), keyFrom(0x62), keyFrom(0x63)}

func publicKeys(keys ...ed25519.PrivateKey) (out []ed25519.PublicKey) {
	for _, k := range keys {
		out = append(out, publicOf(k))
	}
	return out
}

// dayOf is a receipt of a lease with witnesses that attest to some of its heads, and
// the lease behind it.
func dayOf(t testing.TB, beats int, seqs ...int) *leasev1.Whole {
	terms := exampleTerms()
	terms.IntervalMs, terms.GraceMs, terms.MaxDurationMs, terms.MaxAmount = 60_000, 15_000, 90*24*3_600_000, 1e15
	for _, k := range witnessKeys {
		terms.Witnesses = append(terms.Witnesses, publicOf(k))
	}
	terms.WitnessQuorum = 2
	return makeDay(t, terms, beats, seqs)
}

// sumsOf is the price of a credit under terms.
func sumsOf(terms *leasev1.Terms, creditMS uint64) uint64 {
	return must(job.Amount(creditMS, terms.GetPrice(), len(terms.GetGpuTags())))
}
