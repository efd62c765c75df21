package lease

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job"
)

// A receipt is to show that a lease was watched from beginning to end, in a few
// kilobytes. What is kept of one witness never depends on what another one says, nor
// on the period that it claims to speak of.

// attested is one attestation that was checked.
type attested struct {
	signed  *marketv1.Signed
	content *leasev1.Attest
}

// keptOfOne is how many attestations of one witness are kept.
const keptOfOne = 4

// byBeat orders attestations as a receipt does.
func byBeat(a, b attested) int {
	return cmp.Or(cmp.Compare(a.content.GetSeq(), b.content.GetSeq()), cmp.Compare(a.content.GetWitness(), b.content.GetWitness()))
}

// ofEach sorts attestations by witness.
func ofEach(all []attested) map[uint32][]attested {
	of := map[uint32][]attested{}
	for _, a := range all {
		of[a.content.GetWitness()] = append(of[a.content.GetWitness()], a)
	}
	return of
}

// thin keeps of each witness the first and the last attestation, and between them
// those that leave the smallest gaps. What it is given and what it gives is by beat.
func thin(all []attested) []attested {
	var kept []attested
	for _, of := range ofEach(all) {
		kept = append(kept, spread(of)...)
	}
	slices.SortFunc(kept, byBeat)
	return kept
}

func spread(of []attested) []attested {
	for len(of) > keptOfOne {
		gap := func(i int) uint64 { return of[i+1].content.GetSeq() - of[i-1].content.GetSeq() }
		drop := 1
		for i := 2; i < len(of)-1; i++ {
			if gap(i) < gap(drop) {
				drop = i
			}
		}
		of = slices.Delete(of, drop, drop+1)
	}
	return of
}

// Attests are the attestations that are kept. A worker sends them first on a new
// stream.
func (l Lease) Attests() []*marketv1.Signed {
	var out []*marketv1.Signed
	for _, a := range l.attests {
		out = append(out, a.signed)
	}
	return out
}

// maxReceipt is the most that a receipt takes: its file is a few bytes longer.
const maxReceipt = job.MaxReceipt - 64

// witnessed adds to a receipt what witnesses say, as much of it as there is room for:
// the last word of each first.
func (l Lease) witnessed(r *leasev1.Receipt) {
	if l.chain.beats == 0 || l.chain.heads == nil {
		return
	}
	all := slices.DeleteFunc(slices.Clone(l.attests), func(a attested) bool {
		return a.content.GetSeq() >= l.chain.beats // of a beat that the close dropped
	})
	paths, err := l.paths(all)
	if err != nil {
		return
	}
	var in []attested
	for _, a := range byWorth(all) {
		more := append(slices.Clone(in), a)
		slices.SortFunc(more, byBeat)
		if list(r, more, paths); proto.Size(r) <= maxReceipt {
			in = more
		}
	}
	list(r, in, paths)
}

// byWorth orders attestations by what they are worth to whoever reads a receipt: the
// last one of each witness, then the first one of each, then what is between; the
// later ones first.
func byWorth(all []attested) []attested {
	rank := map[attested]int{}
	for _, of := range ofEach(all) {
		for _, a := range of {
			rank[a] = 2
		}
		rank[of[0]] = 1
		rank[of[len(of)-1]] = 0
	}
	return slices.SortedFunc(maps.Keys(rank), func(a, b attested) int {
		return cmp.Or(cmp.Compare(rank[a], rank[b]), byBeat(b, a))
	})
}

// paths leads from each beat that is attested to into the tree whose root the last
// beat names. The last beat itself needs none.
func (l Lease) paths(all []attested) (map[uint64][][]byte, error) {
	var seqs, leaves []uint64
	for _, a := range all {
		if seq := a.content.GetSeq(); seq+1 < l.chain.beats {
			seqs, leaves = append(seqs, seq), append(leaves, seq+1)
		}
	}
	found, err := l.chain.heads[:l.chain.beats].Paths(leaves)
	if err != nil {
		return nil, err
	}
	paths := map[uint64][][]byte{}
	for i, seq := range seqs {
		paths[seq] = found[i]
	}
	return paths, nil
}

// list writes attestations into a receipt, each hash of their paths once.
func list(r *leasev1.Receipt, in []attested, paths map[uint64][][]byte) {
	r.Witnessed, r.Hashes = nil, nil
	places := map[string]uint32{}
	for _, a := range in {
		w := &leasev1.Witnessed{Attest: a.signed.GetPayload(), Signature: a.signed.GetSignature()}
		for _, h := range paths[a.content.GetSeq()] {
			at, known := places[string(h)]
			if !known {
				at = uint32(len(r.Hashes))
				places[string(h)] = at
				r.Hashes = append(r.Hashes, h)
			}
			w.Path = append(w.Path, at)
		}
		r.Witnessed = append(r.Witnessed, w)
	}
}
