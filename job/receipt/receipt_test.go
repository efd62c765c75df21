package receipt_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/statement"
)

func TestReceiptOfAClosedLeaseSaysWhatBothSigned(t *testing.T) {
	s, err := receipt.Verify(must(receipt.Marshal(closed(t))))
	if err != nil {
		t.Fatal(err)
	}
	if s.Level != receipt.LevelBoth || s.CreditMS != 14_250 || s.Beats != 2 || s.Amount != 14_250*350_000/3_600_000 || s.Exit.Code != 0 {
		t.Errorf("summary %+v", s)
	}
	var text strings.Builder
	if err := s.Text(&text); err != nil || !strings.Contains(text.String(), "signed by both\n") {
		t.Errorf("text:\n%s", text.String())
	}
}

func TestBothSidesHoldTheSameReceiptOfAClosedLease(t *testing.T) {
	s := twoBeats(t)
	s.exit()
	a := must(receipt.Marshal(s.lease[lease.Worker].Receipt()))
	b := must(receipt.Marshal(s.lease[lease.Requester].Receipt()))
	if !bytes.Equal(a, b) {
		t.Error("they differ")
	}
}

// Only payload and signature of what the other side says are kept: what else it puts
// into the message around them would be in no file that verifies.
func TestWhatTheOtherSidePutsBesideItsStatementsIsNotKept(t *testing.T) {
	for _, pads := range []lease.Role{lease.Worker, lease.Requester} {
		s := begin(t, exampleTerms())
		s.pads = pads
		s.tick(0xa0)
		s.after(time.Second)
		s.step(lease.Worker, lease.TaskRunning{})
		s.after(12 * time.Second)
		s.tick(0xa1)
		s.exit()
		for r, l := range s.lease {
			chain := must(lease.Chain(s.config[r], time.UnixMilli(beginMs), s.records[r]))
			whole := &leasev1.Whole{Version: 1, Receipt: l.Receipt(), Chain: chain}
			if _, err := (receipt.Policy{}).VerifyWhole(must(receipt.MarshalWhole(whole))); err != nil {
				t.Errorf("the %s pads: whole lease of the %s: %v", pads, r, err)
			}
			if _, err := receipt.Verify(must(receipt.Marshal(l.Receipt()))); err != nil {
				t.Errorf("the %s pads: receipt of the %s: %v", pads, r, err)
			}
		}
	}
}

func TestReceiptWithoutACloseCountsToTheLastAck(t *testing.T) {
	s, err := receipt.VerifyReceipt(twoBeats(t).lease[lease.Requester].Receipt())
	if err != nil || s.Level != receipt.LevelLastAck || s.CreditMS != 12_000 || s.Exit != nil {
		t.Errorf("summary %+v, %v", s, err)
	}
}

func TestCloseOfTheWorkerAloneCountsToTheLastAck(t *testing.T) {
	l := twoBeats(t)
	l.deaf = lease.Requester
	l.exit()
	s, err := receipt.VerifyReceipt(l.lease[lease.Worker].Receipt())
	if err != nil || s.Level != receipt.LevelWorker || s.CreditMS != 12_000 || s.Claimed.CreditMS != 14_250 {
		t.Errorf("summary %+v, %v", s, err)
	}
}

func TestEveryFlippedByteIsRefused(t *testing.T) {
	for name, r := range map[string]*leasev1.Receipt{
		"closed": closed(t), "no close": twoBeats(t).lease[lease.Worker].Receipt(),
	} {
		file := must(receipt.Marshal(r))
		body := len(file) - sha256.Size
		for i := range file {
			for _, mask := range []byte{0xff, 1 << (i % 8)} {
				bad := bytes.Clone(file)
				bad[i] ^= mask
				if _, err := receipt.Verify(bad); !errors.Is(err, receipt.ErrDamaged) && !errors.Is(err, receipt.ErrNotReceipt) {
					t.Fatalf("%s: byte %d ^ %#x: %v; want damaged", name, i, mask, err)
				}
				if i >= body {
					continue // a sum made anew is the old one
				}
				if s, err := receipt.Verify(resum(bad[:body])); err == nil {
					t.Fatalf("%s: byte %d ^ %#x, with a new sum, verifies as %+v", name, i, mask, s)
				}
			}
		}
	}
}

func resum(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

func TestTruncatedFilesAreRefused(t *testing.T) {
	file := must(receipt.Marshal(closed(t)))
	for n := range file {
		if _, err := receipt.Verify(file[:n]); err == nil {
			t.Fatalf("%d of %d bytes verify", n, len(file))
		}
		// Leaving the close away gives an older receipt, which is as true.
		if n == len(file)-sha256.Size {
			continue // nothing but the sum is missing, and it is made anew
		}
		if s, err := receipt.Verify(resum(file[:n])); err == nil && (s.Level == receipt.LevelBoth || s.CreditMS > 14_250) {
			t.Fatalf("%d of %d bytes, with a new sum, verify as %+v", n, len(file), s)
		}
	}
}

func TestErrorsNameThePartThatIsWrong(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*leasev1.Receipt)
	}{
		{"terms: worker: open terms: signature", func(r *leasev1.Receipt) { r.TermsWorkerSignature[5] ^= 1 }},
		{"terms: requester: signature does not verify", func(r *leasev1.Receipt) { r.TermsRequesterSignature[5] ^= 1 }},
		{"last beat: worker: open beat: signature", func(r *leasev1.Receipt) { r.LastBeat.Signature[5] ^= 1 }},
		{"last ack: requester: open ack: signature", func(r *leasev1.Receipt) { r.LastAck.Signature[5] ^= 1 }},
		{"close: worker: open close: signature", func(r *leasev1.Receipt) { r.CloseWorkerSignature[5] ^= 1 }},
		{"close: requester: signature", func(r *leasev1.Receipt) { r.CloseRequesterSignature[5] ^= 1 }},
		{"counts 2 beats, not 0", func(r *leasev1.Receipt) { r.LastBeat, r.LastAck = nil, nil }},
		{"holds neither", func(r *leasev1.Receipt) {
			*r = leasev1.Receipt{Version: 1, Terms: r.Terms, TermsWorkerSignature: r.TermsWorkerSignature, TermsRequesterSignature: r.TermsRequesterSignature}
		}},
	} {
		r := proto.Clone(closed(t)).(*leasev1.Receipt)
		c.change(r)
		if _, err := receipt.VerifyReceipt(r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v; want %q", err, c.want)
		}
	}
}

// A signer can sign nonsense. What does not follow is refused all the same.
func TestStatementsThatAreGenuineButDoNotFitAreRefused(t *testing.T) {
	for name, change := range map[string]func(*leasev1.Close){
		"another head":    func(c *leasev1.Close) { c.PrevHead[0] ^= 1 },
		"a better amount": func(c *leasev1.Close) { c.Amount++ },
		"less credit":     func(c *leasev1.Close) { c.CreditMs, c.Amount = 0, 0 },
		"more beats":      func(c *leasev1.Close) { c.Beats++ },
		"another lease":   func(c *leasev1.Close) { c.LeaseId[0] ^= 1 },
	} {
		r := closed(t)
		c := &leasev1.Close{}
		if err := proto.Unmarshal(r.Close, c); err != nil {
			t.Fatal(err)
		}
		change(c)
		w := must(statement.Sign(workerKey, statement.TypeClose, c))
		q := must(statement.Sign(requesterKey, statement.TypeClose, c))
		r.Close, r.CloseWorkerSignature, r.CloseRequesterSignature = w.Payload, w.Signature, q.Signature
		if _, err := receipt.VerifyReceipt(r); !errors.Is(err, receipt.ErrChain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTimesThatCannotBeAreShownAllTheSame(t *testing.T) {
	r := closed(t)
	c := &leasev1.Close{}
	if err := proto.Unmarshal(r.Close, c); err != nil {
		t.Fatal(err)
	}
	c.ClosedMs, c.Exit.StartedMs, c.Exit.EndedMs = math.MaxInt64, math.MaxInt64-1, math.MaxInt64
	w := must(statement.Sign(workerKey, statement.TypeClose, c))
	r.Close, r.CloseWorkerSignature = w.Payload, w.Signature
	r.CloseRequesterSignature = must(statement.Sign(requesterKey, statement.TypeClose, c)).Signature
	s, err := receipt.VerifyReceipt(r)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(s); err != nil || !strings.Contains(string(b), `"to":"9999-12-31T23:59:59.999Z"`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestReceiptIsSmall(t *testing.T) {
	if n := len(must(receipt.Marshal(closed(t)))); n > 1536 {
		t.Errorf("%d bytes; want at most 1.5 KiB", n)
	}
}

func FuzzVerifyReceipt(f *testing.F) {
	f.Add([]byte{})
	f.Add(resum([]byte("rigmesh\x01\x08\x01")))
	addVectors(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, b := range [][]byte{file, resum(file)} {
			s, err := receipt.Verify(b)
			if err != nil {
				continue
			}
			if _, err := json.Marshal(s); err != nil || s.Level == "" {
				t.Errorf("verified as %+v, %v", s, err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	file := must(receipt.Marshal(closed(nil)))
	for b.Loop() {
		if _, err := receipt.Verify(file); err != nil {
			b.Fatal(err)
		}
	}
}
