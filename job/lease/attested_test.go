package lease

import (
	"encoding/binary"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Of whatever witnesses attest to, those of the beginning and of the end are kept of
// each, in their order, and no other witness changes which.
func TestOfEachWitnessItsOwnFirstAndLastWordAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, kept []attested
		alone := map[uint32][]attested{}
		for seq := range rapid.IntRange(1, 90).Draw(t, "attestations") {
			a := attested{content: &leasev1.Attest{
				Seq: uint64(seq), Witness: rapid.Uint32Range(0, 15).Draw(t, "witness"), Period: rapid.Uint64().Draw(t, "period"),
			}}
			all, kept = append(all, a), thin(append(slices.Clip(kept), a))
			w := a.content.GetWitness()
			alone[w] = thin(append(slices.Clip(alone[w]), a))
		}
		if !slices.IsSortedFunc(kept, byBeat) {
			t.Fatal("not in order")
		}
		got := ofEach(kept)
		for w, said := range ofEach(all) {
			of := got[w]
			if len(of) == 0 || len(of) > keptOfOne || of[0] != said[0] || of[len(of)-1] != said[len(said)-1] {
				t.Fatalf("of %d attestations of witness %d these are kept: %v", len(said), w, of)
			}
			if !slices.Equal(of, alone[w]) {
				t.Fatalf("of witness %d alone others would be kept", w)
			}
		}
	})
}

// aDay is a lease of a beat a second for a day, far enough for a receipt, of which each
// witness attested to four beats here and there, in so many bytes.
func aDay(payload func(witness uint32) int) Lease {
	terms := testTerms()
	for w := range job.MaxWitnesses {
		terms.Witnesses = append(terms.Witnesses, publicOf(testKey(byte(w))))
	}
	l := newLease(Worker, terms)
	statementOf := func(size int) *marketv1.Signed {
		return &marketv1.Signed{Type: "beat", Payload: make([]byte, size), Signature: make([]byte, 64)}
	}
	l.chain.beats, l.chain.beat, l.chain.ack = 86_400, statementOf(600), statementOf(200)
	for i := range l.chain.beats {
		l.chain.heads = append(l.chain.heads, statement.H("test", binary.BigEndian.AppendUint64(nil, i)))
	}
	for w := range uint32(job.MaxWitnesses) {
		for quarter := range uint64(4) {
			a := attested{statementOf(payload(w)), &leasev1.Attest{Witness: w, Seq: quarter*28_000 + 97*uint64(w)}}
			binary.BigEndian.PutUint64(a.signed.Signature, a.content.Seq)
			l.attests = append(l.attests, a)
		}
	}
	slices.SortFunc(l.attests, byBeat)
	return l
}

func TestAReceiptHasRoomForTheLastWordOfEveryWitness(t *testing.T) {
	const usual = 190 // bytes of an attestation
	for name, c := range map[string]struct {
		payload func(uint32) int
		least   int // attestations of the last quarter
	}{
		"as it should be":       {func(uint32) int { return usual }, job.MaxWitnesses},
		"some that are wordy":   {func(w uint32) int { return usual + int(w%4)/3*(statement.TypeAttest.MaxSize()-usual) }, job.MaxWitnesses},
		"all as wordy as it is": {func(uint32) int { return statement.TypeAttest.MaxSize() }, job.MaxWitnesses / 2},
	} {
		l := aDay(c.payload)
		r := l.Receipt()
		if n := proto.Size(r); n > maxReceipt {
			t.Errorf("%s: a receipt of %d bytes", name, n)
		}
		last := 0
		for _, w := range r.Witnessed {
			for _, a := range l.attests {
				if slices.Equal(a.signed.Signature, w.Signature) && a.content.Seq >= 3*28_000 {
					last++
				}
			}
		}
		if last < c.least {
			t.Errorf("%s: the last word of %d witnesses is in, among %d attestations", name, last, len(r.Witnessed))
		}
		t.Logf("%s: %d bytes, %d attestations, %d hashes", name, proto.Size(r), len(r.Witnessed), len(r.Hashes))
	}
}
