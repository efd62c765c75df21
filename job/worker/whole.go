package worker

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Whole collects from a journal what stands behind a lease: every co-signed beat, and
// the bid that was taken up. The receipt and the samples are for the caller to add.
// ErrNoLease.
func Whole(replay func(func(journal.Record) error) error, id job.LeaseID) (*leasev1.Whole, error) {
	var h *history
	err := replay(func(rec journal.Record) error {
		switch {
		case rec.Key != id.String():
			return nil
		case rec.Kind == KindAward:
			h = &history{award: rec}
		case rec.Kind == KindEvent && h != nil:
			return h.add(rec)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, ErrNoLease
	}
	return h.whole()
}

func (h *history) whole() (*leasev1.Whole, error) {
	req, counter := &leasev1.AwardRequest{}, &marketv1.Signed{}
	if err := proto.Unmarshal(h.award.Event, req); err != nil {
		return nil, fmt.Errorf("award in the journal: %w", err)
	}
	if err := proto.Unmarshal(h.award.Statements[0], counter); err != nil {
		return nil, fmt.Errorf("countersignature in the journal: %w", err)
	}
	agreement, err := lease.NewAgreement(counter, req.Terms)
	if err != nil {
		return nil, err
	}
	bid, err := statement.OpenBid(req.Bid) // whose copy has nothing beside it
	if err != nil {
		return nil, err
	}
	chain, err := lease.Chain(lease.Config{Role: lease.Worker, Agreement: agreement}, h.award.At, h.events)
	return &leasev1.Whole{Version: 1, Chain: chain, Bid: bid.Signed()}, err
}
