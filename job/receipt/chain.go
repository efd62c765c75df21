package receipt

import (
	"bytes"
	"fmt"
	"slices"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/heartbeat/seal"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Seals is what the chain behind a receipt says beyond it.
type Seals struct {
	Beats     uint64 `json:"beats"`     // co-signed
	Named     uint64 `json:"named"`     // of which the next beat or the close names a seal
	Sealed    uint64 `json:"sealed"`    // of which that seal is there and good
	Squarings uint64 `json:"squarings"` // one after the other, in each seal
	Folded    bool   `json:"folded"`    // checked by one proof for all of them
}

// pair is one co-signed beat that was checked.
type pair struct {
	beat *leasev1.Beat
	ack  *leasev1.Ack
	hash statement.Hash // of the beat
}

// walk checks the links from head 0 to the last beat of the receipt.
func (e *checked) walk(r *leasev1.Receipt, links []*leasev1.Link) ([]pair, error) {
	head := heartbeat.Head0(r.GetTerms(), r.GetTermsWorkerSignature(), r.GetTermsRequesterSignature())
	tree := heartbeat.Tree{}.Append(head)
	beats := make([]pair, 0, len(links))
	for i, link := range links {
		at := checked{terms: e.terms, id: e.id, head: head}
		beat, err := at.takePair(link.GetBeat(), link.GetAck())
		if err != nil {
			return nil, fmt.Errorf("beat %d: %w", i, err)
		}
		b, root := at.beat, tree.Root()
		follows := b.GetSeq() == uint64(i) && bytes.Equal(b.GetPrevHead(), head[:]) && bytes.Equal(b.GetTreeRoot(), root[:]) &&
			(i == 0 || b.GetInterval() > beats[i-1].beat.GetInterval() && b.GetCreditMs() >= beats[i-1].beat.GetCreditMs())
		if !follows {
			return nil, fmt.Errorf("beat %d: does not follow the one before: %w", i, ErrChain)
		}
		head = at.head
		tree, beats = tree.Append(head), append(beats, pair{b, at.ack, beat.Hash()})
	}
	if head != e.head {
		return nil, fmt.Errorf("the chain ends elsewhere than the receipt: %w", ErrChain)
	}
	if root := tree.Root(); e.close != nil && !bytes.Equal(e.close.GetTreeRoot(), root[:]) {
		return nil, fmt.Errorf("close: tree_root: %w", ErrChain)
	}
	return beats, nil
}

// seals checks the seals of a chain: each by its own proof, or all by the one that
// folds them. A seal that is missing is not an error, and counts for nothing; one
// that the chain does not name, or that does not hold, is refused.
func (e *checked) seals(beats []pair, chain *leasev1.Chain) (Seals, error) {
	params, _ := seal.Of(e.terms)
	items, named, err := e.present(beats, chain.GetLinks())
	if err != nil {
		return Seals{}, err
	}
	if err := checkSeals(params, items, chain.GetFold()); err != nil {
		return Seals{}, fmt.Errorf("seals: %w", err)
	}
	return Seals{
		Beats: uint64(len(beats)), Named: named, Sealed: uint64(len(items)), Squarings: params.T, Folded: chain.GetFold() != nil,
	}, nil
}

// present are the seals that the chain names and that are there, and how many it names.
func (e *checked) present(beats []pair, links []*leasev1.Link) (items []seal.Item, named uint64, err error) {
	for i, link := range links {
		name, s := e.nameOf(beats, i), link.GetSeal()
		if len(name) != 0 {
			named++
		}
		if s == nil {
			continue
		}
		hash, err := seal.Hash(s)
		if err != nil || !bytes.Equal(hash[:], name) || !bytes.Equal(s.GetLeaseId(), e.id[:]) || s.GetSeq() != uint64(i) {
			return nil, 0, fmt.Errorf("seal of beat %d: not the one that the chain names: %w", i, ErrChain)
		}
		items = append(items, seal.Item{Beat: beats[i].hash, Seal: s})
	}
	return items, named, nil
}

func checkSeals(p seal.Params, items []seal.Item, fold *leasev1.Seal) error {
	switch {
	case fold != nil:
		if len(fold.GetLeaseId()) != 0 || fold.GetSeq() != 0 || slices.ContainsFunc(items, proved) {
			return fmt.Errorf("one proof for all, and something beside it: %w", ErrChain)
		}
		return seal.VerifyFold(p, items, fold)
	case len(items) == 0:
		return nil
	}
	return seal.VerifyBatch(p, items)
}

// proved says whether a seal has a proof of its own.
func proved(i seal.Item) bool { return len(i.Seal.GetPi()) != 0 || i.Seal.GetPrimeCounter() != 0 }

// nameOf is the hash by which the chain names the seal of a beat, if it does.
func (e *checked) nameOf(beats []pair, i int) []byte {
	if i+1 < len(beats) {
		return beats[i+1].beat.GetPrevSeal()
	}
	return e.close.GetLastSeal()
}

func (e *checked) sealed() bool { return e.terms.GetSealSuite() != job.SealNone }
