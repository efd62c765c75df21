package receipt_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/statement"
)

// fileVectors is proto/vectors/files.json: receipts, whole leases and equivocations, as
// files, that must be accepted, and some that must not.
type fileVectors struct {
	Good []goodFile `json:"good"`
	Bad  []badFile  `json:"bad"`
}

type goodFile struct {
	Name string          `json:"name"`
	File string          `json:"file"`
	Says json.RawMessage `json:"says"` // what this program prints with --json
}

type badFile struct {
	Name string `json:"name"`
	Why  string `json:"why"`
	File string `json:"file"`
}

func verifyAny(file []byte) (any, error) {
	switch receipt.KindOf(file) {
	case receipt.KindWhole:
		return receipt.Policy{}.VerifyWhole(file)
	case receipt.KindEquivocation:
		return receipt.VerifyEquivocation(file)
	default:
		return receipt.Verify(file)
	}
}

// addVectors gives a fuzz target every file of the vectors, good and bad.
func addVectors(f *testing.F) {
	b, err := os.ReadFile(filepath.Join(vectorDir, "files.json"))
	var v fileVectors
	if err := errors.Join(err, json.Unmarshal(b, &v)); err != nil {
		f.Fatal(err)
	}
	for _, g := range v.Good {
		f.Add(unhex(g.File))
	}
	for _, b := range v.Bad {
		f.Add(unhex(b.File))
	}
}

func TestFileVectorsHold(t *testing.T) {
	path := filepath.Join(vectorDir, "files.json")
	if *update {
		if err := os.WriteFile(path, encode(t, makeFileVectors(t)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v fileVectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	for _, g := range v.Good {
		says, err := verifyAny(unhex(g.File))
		if err != nil {
			t.Errorf("%s: %v", g.Name, err)
			continue
		}
		var want, got bytes.Buffer
		if err := errors.Join(json.Compact(&want, g.Says), json.Compact(&got, must(json.Marshal(says)))); err != nil || want.String() != got.String() {
			t.Errorf("%s says %s, not %s (%v)", g.Name, &got, &want, err)
		}
	}
	for _, b := range v.Bad {
		if says, err := verifyAny(unhex(b.File)); err == nil {
			t.Errorf("%s, %s: it verifies as %+v", b.Name, b.Why, says)
		}
	}
}

func makeFileVectors(t *testing.T) fileVectors {
	var v fileVectors
	good := func(name string, file []byte) {
		says, err := verifyAny(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		v.Good = append(v.Good, goodFile{name, hex.EncodeToString(file), must(json.Marshal(says))})
	}
	bad := func(name, why string, file []byte) {
		if says, err := verifyAny(file); err == nil {
			t.Fatalf("%s, %s: it verifies as %+v", name, why, says)
		}
		v.Bad = append(v.Bad, badFile{name, why, hex.EncodeToString(file)})
	}
	good("a closed lease", must(receipt.Marshal(closed(t))))
	good("a lease without a close", must(receipt.Marshal(lapsed(t))))
	good("a close of the worker alone", must(receipt.Marshal(ofWorkerAlone(t))))
	good("a lease with witnesses", must(receipt.Marshal(dayOf(t, 20, 9, 19).Receipt)))
	good("a whole lease with samples", must(receipt.MarshalWhole(whole(t))))
	r, chain := sealedLease(t)
	sealed := &leasev1.Whole{Version: 1, Receipt: r, Chain: chain}
	good("a whole lease with seals", must(receipt.MarshalWhole(sealed)))
	good("a whole lease with one proof for its seals", must(receipt.MarshalWhole(folded(t))))
	good("two beats for one interval", must(receipt.MarshalEquivocation(twoBeatsForOneInterval(t))))
	good("two acks of one beat", must(receipt.MarshalEquivocation(twoAcksOfOneBeat(t))))
	good("two heads of one beat", must(receipt.MarshalEquivocation(twoHeadsOfOneBeat(t))))

	badForms(t, bad)
	for _, c := range badReceipts {
		r := proto.CloneOf(closed(t))
		c.change(r)
		bad("a closed lease", c.why, must(receipt.Marshal(r)))
	}
	for _, c := range badWitnessed {
		r := proto.CloneOf(dayOf(t, 20, 9, 19).Receipt)
		c.change(r)
		bad("a lease with witnesses", c.why, must(receipt.Marshal(r)))
	}
	for _, c := range badWholes {
		w := proto.CloneOf(sealed)
		c.change(w)
		bad("a whole lease with seals", c.why, must(receipt.MarshalWhole(w)))
	}
	for _, c := range badFolds {
		w := folded(t)
		c.change(w)
		bad("a whole lease with one proof for its seals", c.why, must(receipt.MarshalWhole(w)))
	}
	w := proto.CloneOf(whole(t))
	w.Opened[0].Samples[3][2] ^= 1
	bad("a whole lease with samples", "a sample is changed", must(receipt.MarshalWhole(w)))
	for _, c := range badEquivocations {
		e := proto.CloneOf(twoBeatsForOneInterval(t))
		c.change(t, e)
		bad("two beats for one interval", c.why, must(receipt.MarshalEquivocation(e)))
	}
	return v
}

func lapsed(t testing.TB) *leasev1.Receipt {
	r := proto.CloneOf(closed(t))
	r.Close, r.CloseWorkerSignature, r.CloseRequesterSignature = nil, nil, nil
	return r
}

func ofWorkerAlone(t testing.TB) *leasev1.Receipt {
	r := proto.CloneOf(closed(t))
	r.CloseRequesterSignature = nil
	return r
}

// badForms are refused before any signature is looked at.
func badForms(t *testing.T, bad func(name, why string, file []byte)) {
	const name = "a closed lease"
	file := must(receipt.Marshal(closed(t)))
	body := file[:len(file)-32]
	damaged := bytes.Clone(file)
	damaged[100] ^= 1
	bad(name, "the sum does not fit", damaged)
	bad(name, "cut short", file[:200])
	bad(name, "a byte is behind the sum", append(bytes.Clone(file), 0))
	bad(name, "the magic is another", resum(append([]byte("Rigmesh\x01"), body[8:]...)))
	bad(name, "it says that it is a whole lease", resum(append([]byte("rigmesh\x02"), body[8:]...)))
	bad(name, "version 2", resum(append([]byte("rigmesh\x01\x08\x02"), body[10:]...)))
	bad(name, "a number is not in its shortest form", resum(append([]byte("rigmesh\x01\x08\x81\x00"), body[10:]...)))
	bad(name, "field 1000 is unknown", resum(append(bytes.Clone(body), 0xc0, 0x3e, 0x01)))
	bad(name, "the version stands last", resum(append(append([]byte("rigmesh\x01"), body[10:]...), 8, 1)))
	bad(name, "a field is empty", resum(append(bytes.Clone(body), 0x5a, 0)))
	unknown := proto.CloneOf(closed(t))
	unknown.LastBeat.ProtoReflect().SetUnknown([]byte{0xc0, 0x3e, 0x01})
	bad(name, "field 1000 of the beat's Signed is unknown", must(receipt.Marshal(unknown)))
}

// signedAgain replaces a close by one that says something else, with both signatures.
func signedAgain(change func(*leasev1.Close)) func(*leasev1.Receipt) {
	return func(r *leasev1.Receipt) {
		c := &leasev1.Close{}
		if err := proto.Unmarshal(r.Close, c); err != nil {
			panic(err)
		}
		change(c)
		w := must(statement.Sign(workerKey, statement.TypeClose, c))
		q := must(statement.Sign(requesterKey, statement.TypeClose, c))
		r.Close, r.CloseWorkerSignature, r.CloseRequesterSignature = w.Payload, w.Signature, q.Signature
	}
}

// pairAgain replaces the last beat and its ack, with good signatures, and leaves the close away.
func pairAgain(beat func(*leasev1.Beat), ack func(*leasev1.Ack)) func(*leasev1.Receipt) {
	return func(r *leasev1.Receipt) {
		b, a := &leasev1.Beat{}, &leasev1.Ack{}
		if err := errors.Join(proto.Unmarshal(r.LastBeat.Payload, b), proto.Unmarshal(r.LastAck.Payload, a)); err != nil {
			panic(err)
		}
		beat(b)
		r.LastBeat = must(statement.Sign(workerKey, statement.TypeBeat, b))
		hash := statement.HashPayload("beat", r.LastBeat.Payload)
		a.BeatHash = hash[:]
		ack(a)
		r.LastAck = must(statement.Sign(requesterKey, statement.TypeAck, a))
		r.Close, r.CloseWorkerSignature, r.CloseRequesterSignature = nil, nil, nil
	}
}

var badReceipts = []struct {
	why    string
	change func(*leasev1.Receipt)
}{
	{"the worker's signature under the terms is another", func(r *leasev1.Receipt) { r.TermsWorkerSignature = r.TermsRequesterSignature }},
	{"the requester's signature under the terms is missing", func(r *leasev1.Receipt) { r.TermsRequesterSignature = nil }},
	{"the beat's signature is the ack's", func(r *leasev1.Receipt) { r.LastBeat.Signature = r.LastAck.Signature }},
	{"the beat is without its ack", func(r *leasev1.Receipt) { r.LastAck = nil }},
	{"beat and ack are exchanged", func(r *leasev1.Receipt) { r.LastBeat, r.LastAck = r.LastAck, r.LastBeat }},
	{"the beat is of another lease", pairAgain(func(b *leasev1.Beat) { b.LeaseId[0] ^= 1 }, func(*leasev1.Ack) {})},
	{"the beat costs a micro-credit more than the terms give", pairAgain(func(b *leasev1.Beat) { b.Amount++ }, func(a *leasev1.Ack) { a.Amount++ })},
	{"the beat credits more than the ack", pairAgain(func(b *leasev1.Beat) { b.CreditMs, b.Amount = 13_000, 1263 }, func(*leasev1.Ack) {})},
	{"the ack is of another beat", pairAgain(func(*leasev1.Beat) {}, func(a *leasev1.Ack) { a.BeatHash[0] ^= 1 })},
	{"the ack is of another interval", pairAgain(func(*leasev1.Beat) {}, func(a *leasev1.Ack) { a.Interval++ })},
	{"the ack has no verdict", pairAgain(func(*leasev1.Beat) {}, func(a *leasev1.Ack) { a.Verdict = 0 })},
	{"the ack disputes without a mismatch", pairAgain(func(*leasev1.Beat) {}, func(a *leasev1.Ack) { a.Verdict = leasev1.Verdict_VERDICT_DISPUTED })},
	{"the first beat does not extend head 0", pairAgain(func(b *leasev1.Beat) { b.Seq = 0 }, func(a *leasev1.Ack) { a.Seq = 0 })},
	{"there are more beats than intervals", pairAgain(func(b *leasev1.Beat) { b.Seq = 2 }, func(a *leasev1.Ack) { a.Seq = 2 })},
	{"a hash in the beat has 31 bytes", pairAgain(func(b *leasev1.Beat) { b.TreeRoot = b.TreeRoot[1:] }, func(*leasev1.Ack) {})},
	{"a seal is named in suite 0", pairAgain(func(b *leasev1.Beat) { b.PrevSeal = b.TreeRoot }, func(*leasev1.Ack) {})},
	{"the close's signature is the requester's alone", func(r *leasev1.Receipt) { r.CloseWorkerSignature = nil }},
	{"the requester's signature under the close is another", func(r *leasev1.Receipt) { r.CloseRequesterSignature = r.CloseWorkerSignature }},
	{"the close counts another number of beats", signedAgain(func(c *leasev1.Close) { c.Beats++ })},
	{"the close extends another head", signedAgain(func(c *leasev1.Close) { c.PrevHead[0] ^= 1 })},
	{"the close is of another lease", signedAgain(func(c *leasev1.Close) { c.LeaseId[0] ^= 1 })},
	{"the close costs less than the terms give", signedAgain(func(c *leasev1.Close) { c.Amount-- })},
	{"the close credits less than was acked", signedAgain(func(c *leasev1.Close) { c.CreditMs, c.Amount = 0, 0 })},
	{"the close has no reason", signedAgain(func(c *leasev1.Close) { c.Reason = 0 })},
	{"the close has no exit", signedAgain(func(c *leasev1.Close) { c.Exit = nil })},
	{"the exit code is 256", signedAgain(func(c *leasev1.Close) { c.Exit.Code = 256 })},
	{"there are beats, and the receipt has none", func(r *leasev1.Receipt) { r.LastBeat, r.LastAck = nil, nil }},
	{"nothing came of the terms", func(r *leasev1.Receipt) {
		r.LastBeat, r.LastAck, r.Close, r.CloseWorkerSignature, r.CloseRequesterSignature = nil, nil, nil, nil, nil
	}},
	{"a hash is there that no attestation uses", func(r *leasev1.Receipt) { r.Hashes = [][]byte{make([]byte, 32)} }},
}

var badWitnessed = []struct {
	why    string
	change func(*leasev1.Receipt)
}{
	{"an attestation's signature is another witness's", func(r *leasev1.Receipt) { r.Witnessed[0].Signature = r.Witnessed[1].Signature }},
	{"an attestation is there twice", func(r *leasev1.Receipt) { r.Witnessed = append(r.Witnessed, r.Witnessed[5]) }},
	{"attestations are not in order", func(r *leasev1.Receipt) { r.Witnessed[0], r.Witnessed[1] = r.Witnessed[1], r.Witnessed[0] }},
	{"a path is cut short", func(r *leasev1.Receipt) { r.Witnessed[0].Path = r.Witnessed[0].Path[1:] }},
	{"a path names a hash that is not there", func(r *leasev1.Receipt) { r.Witnessed[0].Path[0] = 99 }},
	{"a hash of a path is changed", func(r *leasev1.Receipt) { r.Hashes[0][0] ^= 1 }},
	{"the last head has a path", func(r *leasev1.Receipt) { r.Witnessed[3].Path = []uint32{0} }},
	{"a hash is there twice", func(r *leasev1.Receipt) { r.Hashes = append(r.Hashes, r.Hashes[0]) }},
	{"the terms name no such witness", signedBy(0, 7)},
	{"a witness signs in another's place", signedBy(0, 1)},
}

var badWholes = []struct {
	why    string
	change func(*leasev1.Whole)
}{
	{"there are no links", func(w *leasev1.Whole) { w.Chain.Links = nil }},
	{"the first link is missing", func(w *leasev1.Whole) { w.Chain.Links = w.Chain.Links[1:] }},
	{"the last link is missing", func(w *leasev1.Whole) { w.Chain.Links = w.Chain.Links[:3] }},
	{"two links are exchanged", func(w *leasev1.Whole) { w.Chain.Links[1], w.Chain.Links[2] = w.Chain.Links[2], w.Chain.Links[1] }},
	{"a seal is of another beat", func(w *leasev1.Whole) { w.Chain.Links[0].Seal = w.Chain.Links[1].Seal }},
	{"a seal's proof does not hold", func(w *leasev1.Whole) { w.Chain.Links[0].Seal.Pi[255] ^= 1 }},
	{"a seal is marked as another lease's", func(w *leasev1.Whole) { w.Chain.Links[0].Seal.LeaseId[0] ^= 1 }},
	{"a seal is marked as another beat's", func(w *leasev1.Whole) { w.Chain.Links[0].Seal.Seq++ }},
	{"a seal is there that nobody names", func(w *leasev1.Whole) { w.Chain.Links[2].Seal = w.Chain.Links[1].Seal }},
	{"the receipt has version 2", func(w *leasev1.Whole) { w.Receipt.Version = 2 }},
	{"the receipt is missing", func(w *leasev1.Whole) { w.Receipt = nil }},
}

var badFolds = []struct {
	why    string
	change func(*leasev1.Whole)
}{
	{"the proof does not hold", func(w *leasev1.Whole) { w.Chain.Fold.Pi[255] ^= 1 }},
	{"the proof is of another product", func(w *leasev1.Whole) { w.Chain.Fold.Y = w.Chain.Links[0].Seal.Y }},
	{"the prime is another", func(w *leasev1.Whole) { w.Chain.Fold.PrimeCounter ^= 1 }},
	{"a seal of those that are folded is missing", func(w *leasev1.Whole) { w.Chain.Links[0].Seal = nil }},
	{"no seal is there", func(w *leasev1.Whole) {
		for _, link := range w.Chain.Links {
			link.Seal = nil
		}
	}},
	{"a folded seal has a proof of its own", func(w *leasev1.Whole) { w.Chain.Links[0].Seal.Pi = w.Chain.Fold.Pi }},
	{"the proof is marked as a beat's", func(w *leasev1.Whole) { w.Chain.Fold.Seq = 1 }},
	{"there is no proof at all", func(w *leasev1.Whole) { w.Chain.Fold = nil }},
}

var badEquivocations = []struct {
	why    string
	change func(*testing.T, *leasev1.Equivocation)
}{
	{"both statements are one", func(_ *testing.T, e *leasev1.Equivocation) { e.Second = e.First }},
	{"the intervals differ", func(t *testing.T, e *leasev1.Equivocation) {
		e.Second = beatWith(t, func(b *leasev1.Beat) { b.Interval = 2 })
	}},
	{"the second is of another lease", func(t *testing.T, e *leasev1.Equivocation) {
		e.Second = beatWith(t, func(b *leasev1.Beat) { b.LeaseId[0] ^= 1 })
	}},
	{"the second is an ack", func(t *testing.T, e *leasev1.Equivocation) { e.Second = twoAcksOfOneBeat(t).First }},
	{"the first is a challenge", func(t *testing.T, e *leasev1.Equivocation) { e.First, _ = sample(t, statement.TypeChallenge) }},
	{"the second's signature does not verify", func(_ *testing.T, e *leasev1.Equivocation) { e.Second.Signature[3] ^= 1 }},
	{"the requester did not sign the terms", func(_ *testing.T, e *leasev1.Equivocation) { e.TermsRequesterSignature = nil }},
}
