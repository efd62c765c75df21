package lease

import (
	"bytes"
	"slices"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// chain is what both sides have co-signed. It is a value; extend leaves the
// receiver as it was.
type chain struct {
	head     statement.Hash
	tree     heartbeat.Tree // over head 0 to head
	beats    uint64         // co-signed
	interval uint64         // of the last co-signed beat, if any
	creditMS uint64         // cumulative, as co-signed
	amount   uint64
	heads    heartbeat.Heads   // all of them; nil without witnesses, and after a leap
	credits  []uint64          // creditMS after each beat; nil as heads
	nonces   [][]byte          // worker: of witnesses, in the last beat
	unknown  bool              // the last beat itself is not known: see leap
	evidence *leasev1.Evidence // of the last co-signed beat; never nil
	beat     *marketv1.Signed  // the last one, with its ack
	ack      *marketv1.Signed
	seal     *leasev1.Seal // of the last one, when it is ready (worker) or came (requester)
	sealHash []byte
	sealed   uint64 // beats before the last one whose seal the beat after names
}

func newChain(head0 statement.Hash, witnessed bool) chain {
	c := chain{head: head0, evidence: &leasev1.Evidence{}, tree: heartbeat.Tree{}.Append(head0)}
	if witnessed {
		c.heads = heartbeat.Heads{head0}
	}
	return c
}

func (c chain) extend(beat, ack *marketv1.Signed, b *leasev1.Beat) chain {
	head := heartbeat.NextHead(beat, ack)
	next := chain{
		head:     head,
		tree:     c.tree.Append(head),
		beats:    c.beats + 1,
		interval: b.GetInterval(),
		creditMS: b.GetCreditMs(),
		amount:   b.GetAmount(),
		evidence: b.GetEvidence(),
		beat:     beat,
		ack:      ack,
		sealed:   c.sealed + c.names(b.GetPrevSeal()),
	}
	if c.heads != nil {
		next.heads = append(slices.Clip(c.heads), head)
		next.credits = append(slices.Clip(c.credits), b.GetCreditMs())
	}
	return next
}

// leap is the chain just before a beat that is more than one ahead: of the beats
// between nothing is known but what its head and tree say.
func (c chain) leap(b *leasev1.Beat, tree heartbeat.Tree) chain {
	c.head, c.tree, c.beats, c.unknown = statement.Hash(b.GetPrevHead()), tree, b.GetSeq(), true
	c.beat, c.ack, c.seal, c.sealHash, c.heads, c.credits = nil, nil, nil, nil, nil, nil
	return c
}

// names is 1 if a statement that follows names the seal of the last beat.
func (c chain) names(hash []byte) uint64 {
	if c.seal == nil || !bytes.Equal(hash, c.sealHash) {
		return 0
	}
	return 1
}
