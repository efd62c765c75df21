package receipt_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/statement"
)

// day is a long lease signed by hand, one beat a minute.
type day struct {
	terms *leasev1.Terms
	whole *leasev1.Whole
	heads []statement.Hash
	tree  heartbeat.Tree
	id    statement.Hash
}

// makeDay signs a whole lease. Every witness attests to the head after each beat in seqs.
func makeDay(t testing.TB, terms *leasev1.Terms, beats int, seqs []int) *leasev1.Whole {
	w := must(statement.Sign(workerKey, statement.TypeTerms, terms))
	q := must(statement.Sign(requesterKey, statement.TypeTerms, terms))
	d := &day{terms: terms, id: statement.LeaseID(w.Payload)}
	d.whole = &leasev1.Whole{Version: 1, Chain: &leasev1.Chain{}, Receipt: &leasev1.Receipt{
		Version: 1, Terms: w.Payload, TermsWorkerSignature: w.Signature, TermsRequesterSignature: q.Signature,
	}}
	d.grow(heartbeat.Head0(w.Payload, w.Signature, q.Signature))
	for i := range beats {
		d.beat(i)
	}
	d.close(beats)
	last := d.whole.Chain.Links[beats-1]
	d.whole.Receipt.LastBeat, d.whole.Receipt.LastAck = last.Beat, last.Ack
	for _, seq := range seqs {
		for i := range terms.Witnesses {
			d.attest(i, seq)
		}
	}
	return d.whole
}

func (d *day) grow(head statement.Hash) {
	d.heads, d.tree = append(d.heads, head), d.tree.Append(head)
}

func (d *day) beat(i int) {
	root, credit := d.tree.Root(), uint64(i)*60_000
	nonces := bytes.Repeat([]byte{5}, 32)
	b := must(statement.Sign(workerKey, statement.TypeBeat, &leasev1.Beat{
		Version: 1, LeaseId: d.id[:], Seq: uint64(i), Interval: uint64(i), PrevHead: d.heads[i][:], ChallengeHash: nonces,
		WitnessRoot: nonces, Evidence: &leasev1.Evidence{TaskId: "t1", ImageDigest: d.terms.ImageDigest, Running: true, CpuMs: credit},
		TreeRoot: root[:], CreditMs: credit, Amount: sumsOf(d.terms, credit), WorkerMs: beginMs + int64(credit),
	}))
	hash := statement.HashPayload("beat", b.Payload)
	a := must(statement.Sign(requesterKey, statement.TypeAck, &leasev1.Ack{
		Version: 1, LeaseId: d.id[:], Seq: uint64(i), Interval: uint64(i), BeatHash: hash[:], Verdict: leasev1.Verdict_VERDICT_GOOD,
		CreditMs: credit, Amount: sumsOf(d.terms, credit), RequesterMs: beginMs + int64(credit),
		Observed: &leasev1.Observation{StdoutBytes: 12, Running: true},
	}))
	d.whole.Chain.Links = append(d.whole.Chain.Links, &leasev1.Link{Beat: b, Ack: a})
	d.grow(heartbeat.NextHead(b, a))
}

func (d *day) close(beats int) {
	root, credit, end := d.tree.Root(), uint64(beats)*60_000, beginMs+int64(beats)*60_000
	c := must(statement.Sign(workerKey, statement.TypeClose, &leasev1.Close{
		Version: 1, LeaseId: d.id[:], Beats: uint64(beats), PrevHead: d.heads[beats][:], CreditMs: credit, Amount: sumsOf(d.terms, credit),
		Exit: &leasev1.Exit{StartedMs: beginMs, EndedMs: end}, Reason: leasev1.CloseReason_CLOSE_REASON_EXITED, ClosedMs: end, TreeRoot: root[:],
	}))
	r := d.whole.Receipt
	r.Close, r.CloseWorkerSignature = c.Payload, c.Signature
	r.CloseRequesterSignature = statement.SignPayload(requesterKey, statement.TypeClose, c.Payload).Signature
}

// attest adds what a witness says of the head after a beat.
func (d *day) attest(witness, seq int) {
	var tree heartbeat.Tree
	for _, h := range d.heads[:seq+2] {
		tree = tree.Append(h)
	}
	root, at := tree.Root(), beginMs+int64(seq)*60_000
	a := must(statement.Sign(witnessKeys[witness], statement.TypeAttest, &leasev1.Attest{
		Version: 1, LeaseId: d.id[:], Witness: uint32(witness), Period: uint64(seq) / 10, Seq: uint64(seq), Head: d.heads[seq+1][:], TreeRoot: root[:],
		CreditMs: uint64(seq) * 60_000, FirstMs: beginMs + int64(witness), AskedMs: at + int64(witness), AttestedMs: at + 900,
	}))
	w := &leasev1.Witnessed{Attest: a.Payload, Signature: a.Signature}
	if beats := len(d.heads) - 1; seq < beats-1 {
		w.Path = d.path(beats, seq+1)
	}
	d.whole.Receipt.Witnessed = append(d.whole.Receipt.Witnessed, w)
}

// path proves that a head is in the tree over heads 0 to size-1.
func (d *day) path(size, leaf int) []uint32 {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
		for _, i := range at {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i, h := range d.heads[:size] {
		stored = append(stored, must(tlog.StoredHashes(int64(i), h[:], read))...)
	}
	var path []uint32
	for _, h := range must(tlog.ProveRecord(int64(size), int64(leaf), read)) {
		r := d.whole.Receipt
		at := slices.IndexFunc(r.Hashes, func(o []byte) bool { return bytes.Equal(o, h[:]) })
		if at < 0 {
			at, r.Hashes = len(r.Hashes), append(r.Hashes, bytes.Clone(h[:]))
		}
		path = append(path, uint32(at))
	}
	return path
}

func TestWitnessesCountAsThePolicySays(t *testing.T) {
	w := dayOf(t, 40, 8, 17, 39)
	w.Receipt.Witnessed = w.Receipt.Witnessed[:8] // the third saw the end no more
	all := must(receipt.VerifyReceipt(w.Receipt))
	want := receipt.Witnesses{
		Named: 3, Counting: 3, Attested: 3, Quorum: 2, CreditMS: 39 * 60_000,
		From: time.UnixMilli(beginMs + 1).UTC(), To: time.UnixMilli(beginMs + 39*60_000).UTC(),
	}
	if all.Witnesses != want || all.Proof != "signed by both; witnessed 3 of 3" {
		t.Errorf("%q %+v", all.Proof, all.Witnesses)
	}
	file := must(receipt.Marshal(w.Receipt))
	for name, c := range map[string]struct {
		policy   receipt.Policy
		attested int
		creditMS uint64
		want     error
	}{
		"one key, the last":  {receipt.Policy{Witnesses: publicKeys(witnessKeys[2]), Quorum: 1}, 1, 17 * 60_000, nil},
		"all three":          {receipt.Policy{Quorum: 3}, 3, 17 * 60_000, nil},
		"two that count":     {receipt.Policy{Witnesses: publicKeys(witnessKeys[:2]...), Quorum: 2}, 2, 39 * 60_000, nil},
		"more than count":    {receipt.Policy{Witnesses: publicKeys(witnessKeys[:2]...), Quorum: 3}, 2, 0, receipt.ErrQuorum},
		"strangers":          {receipt.Policy{Witnesses: publicKeys(workerKey), Quorum: 1}, 0, 0, receipt.ErrQuorum},
		"strangers, no more": {receipt.Policy{Witnesses: publicKeys(workerKey)}, 0, 0, nil},
	} {
		s, err := c.policy.Verify(file)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || s.Witnesses.Attested != c.attested || s.Witnesses.CreditMS != c.creditMS {
			t.Errorf("%s: %+v, %v", name, s.Witnesses, err)
		}
	}
}

func TestAttestationsThatDoNotBelongAreRefused(t *testing.T) {
	other := dayOf(t, 12, 3).Receipt
	for name, change := range map[string]func(*leasev1.Receipt){
		"another lease's": func(r *leasev1.Receipt) {
			r.Witnessed[0].Attest, r.Witnessed[0].Signature = other.Witnessed[0].Attest, other.Witnessed[0].Signature
		},
		"another witness's":       func(r *leasev1.Receipt) { r.Witnessed[0].Signature = r.Witnessed[1].Signature },
		"twice":                   func(r *leasev1.Receipt) { r.Witnessed = append(r.Witnessed, r.Witnessed[5]) },
		"in another order":        func(r *leasev1.Receipt) { r.Witnessed[0], r.Witnessed[1] = r.Witnessed[1], r.Witnessed[0] },
		"a path too short":        func(r *leasev1.Receipt) { r.Witnessed[0].Path = r.Witnessed[0].Path[1:] },
		"a path elsewhere":        func(r *leasev1.Receipt) { r.Witnessed[0].Path[0] = r.Witnessed[0].Path[1] },
		"a path to no hash":       func(r *leasev1.Receipt) { r.Witnessed[0].Path[0] = 99 },
		"a path for the last":     func(r *leasev1.Receipt) { r.Witnessed[3].Path = []uint32{0} },
		"a hash changed":          func(r *leasev1.Receipt) { r.Hashes[0][0] ^= 1 },
		"a hash nobody uses":      func(r *leasev1.Receipt) { r.Hashes = append(r.Hashes, make([]byte, 32)) },
		"a hash twice":            func(r *leasev1.Receipt) { r.Hashes = append(r.Hashes, r.Hashes[0]) },
		"a hash cut short":        func(r *leasev1.Receipt) { r.Hashes[0] = r.Hashes[0][1:] },
		"a witness not named":     signedBy(0, 7),
		"another witness's place": signedBy(0, 1),
		"garbage":                 func(r *leasev1.Receipt) { r.Witnessed[0].Attest = []byte{0xff} },
		"without beats": func(r *leasev1.Receipt) {
			r.LastBeat, r.LastAck, r.Close, r.CloseWorkerSignature, r.CloseRequesterSignature = nil, nil, nil, nil, nil
		},
	} {
		r := dayOf(t, 20, 9, 19).Receipt
		change(r)
		if s, err := receipt.VerifyReceipt(r); err == nil {
			t.Errorf("%s: it verifies as %+v", name, s.Witnesses)
		}
	}
}

// signedBy makes the first attestation one of a witness that says it is another.
func signedBy(key int, place uint32) func(*leasev1.Receipt) {
	return func(r *leasev1.Receipt) {
		a := &leasev1.Attest{}
		if err := proto.Unmarshal(r.Witnessed[0].Attest, a); err != nil {
			panic(err)
		}
		a.Witness = place
		s := must(statement.Sign(witnessKeys[key], statement.TypeAttest, a))
		r.Witnessed[0].Attest, r.Witnessed[0].Signature = s.Payload, s.Signature
	}
}

func TestAuditComparesWhatWitnessesSayWithTheBeats(t *testing.T) {
	w := dayOf(t, 20, 9, 19)
	if _, err := (receipt.Policy{Quorum: 3}).Audit(w); err != nil {
		t.Fatal(err)
	}
	a := &leasev1.Attest{}
	if err := proto.Unmarshal(w.Receipt.Witnessed[0].Attest, a); err != nil {
		t.Fatal(err)
	}
	a.CreditMs--
	s := must(statement.Sign(witnessKeys[0], statement.TypeAttest, a))
	w.Receipt.Witnessed[0].Attest, w.Receipt.Witnessed[0].Signature = s.Payload, s.Signature
	if _, err := (receipt.Policy{}).Audit(w); !errors.Is(err, receipt.ErrChain) {
		t.Errorf("another credit than the beat's: %v", err)
	}
}

func TestEveryFlippedByteOfAWitnessedReceiptIsRefused(t *testing.T) {
	flipEachByte(t, must(receipt.Marshal(dayOf(t, 20, 9, 19).Receipt)), 3, func(b []byte) error {
		_, err := receipt.Verify(b)
		return err
	})
}

// fourPeriods are the beats that witnesses of a day attest to, in the figures of the design.
var fourPeriods = []int{359, 719, 1079, 1435}

func TestReceiptOfADayWithWitnessesIsSmall(t *testing.T) {
	file := must(receipt.Marshal(dayOf(t, 1440, fourPeriods...).Receipt))
	if len(file) > 7<<10 {
		t.Errorf("%d bytes; want at most 7 KiB", len(file))
	}
	s, err := receipt.Policy{Quorum: 3}.Verify(file)
	if err != nil || s.CreditMS != 24*3_600_000 {
		t.Errorf("%+v, %v", s, err)
	}
}

func BenchmarkVerifyDay(b *testing.B) {
	file := must(receipt.Marshal(dayOf(b, 1440, fourPeriods...).Receipt))
	for b.Loop() {
		if _, err := receipt.Verify(file); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(file)), "bytes")
}

func BenchmarkAudit(b *testing.B) {
	file := must(receipt.MarshalWhole(dayOf(b, 1440)))
	for b.Loop() {
		if _, err := (receipt.Policy{}).VerifyWhole(file); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(file)), "bytes")
}

func BenchmarkSixSignatures(b *testing.B) {
	s := must(statement.Sign(workerKey, statement.TypeTerms, exampleTerms()))
	for b.Loop() {
		for range 6 {
			if err := statement.CheckSignature(s, publicOf(workerKey)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkWire makes the second heartbeat of a sealed lease with evidence of a device,
// and counts what travels for it, lengths included.
func BenchmarkWire(b *testing.B) {
	terms := exampleTerms()
	terms.SealSuite, terms.SealModulus, terms.SealT = job.SealWesolowski, job.SealRSA2048, job.MinSealT
	var size int
	for b.Loop() {
		s := begin(b, terms)
		s.tick(0xa0)
		s.after(time.Second)
		s.step(lease.Worker, lease.TaskRunning{})
		s.seal()
		s.after(12 * time.Second)
		before := len(s.said)
		s.tick(0xa1)
		s.seal()
		size = 0
		for _, signed := range s.said[before:] {
			frame := &leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Beat{Beat: signed}} // any kind of frame is as long
			size += len(must(proto.Marshal(frame))) + 2
		}
		size += len(must(proto.Marshal(&leasev1.BeatFrame{Frame: &leasev1.BeatFrame_Seal{Seal: s.lease[lease.Worker].LastSeal()}}))) + 2
	}
	b.ReportMetric(float64(size), "bytes")
}
