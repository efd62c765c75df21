package requester

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/lease"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Whole collects from a journal what stands behind the lease of a job: every co-signed
// beat, and the bid that was taken up. The receipt and the samples are for the caller
// to add. ErrNoJob when the journal does not hold that lease.
func Whole(replay func(func(journal.Record) error) error, jobID string, id job.LeaseID) (*leasev1.Whole, error) {
	leases := map[string]*records{}
	err := replay(func(rec journal.Record) error {
		h := leases[rec.Key]
		switch at, _ := splitKey(rec.Key); {
		case at != jobID:
			return nil
		case rec.Kind == KindLease:
			h = &records{}
			leases[rec.Key] = h
		case rec.Kind != KindEvent || h == nil:
			return nil
		}
		return h.add(rec)
	})
	if err != nil {
		return nil, err
	}
	for _, h := range leases {
		w, err := h.whole(id)
		if w != nil || err != nil {
			return w, err
		}
	}
	return nil, ErrNoJob
}

// whole is the lease of the records, if it is that one.
func (h *records) whole(id job.LeaseID) (*leasev1.Whole, error) {
	req := &leasev1.AwardRequest{}
	if err := proto.Unmarshal(h.leased.Event, req); err != nil {
		return nil, fmt.Errorf("award in the journal: %w", err)
	}
	agreement, err := agreementOf(h.leased, req)
	if err != nil {
		return nil, err
	}
	if job.LeaseID(agreement.ID()) != id {
		return nil, nil
	}
	bid, err := statement.OpenBid(req.Bid) // whose copy has nothing beside it
	if err != nil {
		return nil, err
	}
	chain, err := lease.Chain(lease.Config{Role: lease.Requester, Agreement: agreement}, h.leased.At, h.events)
	return &leasev1.Whole{Version: 1, Chain: chain, Bid: bid.Signed()}, err
}
