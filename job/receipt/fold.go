package receipt

import (
	"fmt"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat/seal"
)

// BeginFold begins the one proof for all seals that the chain of a whole lease names,
// from their answers alone: they were verified when they came. It takes as long as
// auditing the lease without its seals, and the work that is left as long as one seal.
func BeginFold(w *leasev1.Whole) (*seal.Work, error) {
	e, err := check(w.GetReceipt())
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	beats, err := e.walk(w.GetReceipt(), w.GetChain().GetLinks())
	if err != nil {
		return nil, err
	}
	items, _, err := e.present(beats, w.GetChain().GetLinks())
	if err != nil {
		return nil, err
	}
	params, _ := seal.Of(e.terms)
	return seal.BeginFold(params, items)
}

// Fold puts one proof for all seals of a chain in the place of their own.
func Fold(c *leasev1.Chain, proof *leasev1.Seal) {
	for _, link := range c.GetLinks() {
		if s := link.GetSeal(); s != nil {
			link.Seal = &leasev1.Seal{LeaseId: s.GetLeaseId(), Seq: s.GetSeq(), Y: s.GetY()}
		}
	}
	c.Fold = proof
}
