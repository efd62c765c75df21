package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/evidence"
	"github.com/rigmesh/rigmesh/job/receipt"
	"github.com/rigmesh/rigmesh/job/requester"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/node/control"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// OpenLease implements control.Leases. The beats come from this node's journal, whichever
// side it was; the samples from the worker.
func (n *Node) OpenLease(ctx context.Context, id string, samples bool) (file []byte, missing []string, err error) {
	k, err := n.receipts.find(id)
	if err != nil {
		return nil, nil, err
	}
	w, err := n.whole(k)
	if err != nil {
		return nil, nil, err
	}
	if w.Receipt, err = receipt.Parse(k.file); err != nil {
		return nil, nil, err
	}
	if err := n.receipts.takeFold(k, w.Chain); err != nil {
		return nil, nil, err
	}
	if samples {
		missing = n.openSamples(ctx, k, w)
	}
	file, err = receipt.MarshalWhole(w)
	return file, missing, err
}

// ReadReceipts implements control.Leases.
func (n *Node) ReadReceipts(from, to time.Time, fn func(role string, file []byte) error) error {
	return n.receipts.ReadReceipts(from, to, fn)
}

// Proof implements control.Leases.
func (n *Node) Proof(id string) (lease string, file []byte, err error) { return n.receipts.Proof(id) }

// whole reads the beats behind a receipt from the journal.
func (n *Node) whole(k kept) (w *leasev1.Whole, err error) {
	id, err := job.ParseLeaseID(k.summary.LeaseID)
	if err != nil {
		return nil, err
	}
	other := k.summary.Worker
	if k.role == "worker" {
		other = k.summary.Requester
		w, err = worker.Whole(n.journal.Replay, id)
	} else {
		w, err = requester.Whole(n.journal.Replay, k.summary.JobID, id)
	}
	if errors.Is(err, worker.ErrNoLease) || errors.Is(err, requester.ErrNoJob) {
		return nil, fmt.Errorf("heartbeats of lease %s: %w: this node's journal does not hold them; the other side, %s, may",
			id.Short(), control.ErrNotFound, other)
	}
	return w, err
}

// opening bounds asking the worker for samples.
const opening = 2 * time.Minute

// openSamples adds the samples that the worker still has, and says which it has not.
func (n *Node) openSamples(ctx context.Context, k kept, w *leasev1.Whole) (missing []string) {
	ctx, cancel := context.WithTimeout(ctx, opening)
	defer cancel()
	all := evidenceOf(w)
	var first, end uint64
	for _, e := range all {
		end = max(end, e.GetFirstSample()+e.GetSamples())
	}
	have, err := n.samplesOf(ctx, k, first, end)
	if err != nil {
		return []string{fmt.Sprintf("the samples: %v", err)}
	}
	lacking := 0
	for beat, e := range all {
		if e.GetSamples() == 0 {
			continue
		}
		from, to := e.GetFirstSample(), e.GetFirstSample()+e.GetSamples()
		if to > uint64(len(have)) || evidence.Check(e, have[from:to]) != nil {
			lacking++
			continue
		}
		w.Opened = append(w.Opened, &leasev1.Opened{Beat: uint64(beat), Samples: have[from:to]})
	}
	if lacking > 0 {
		missing = append(missing, fmt.Sprintf("the samples of %d heartbeats: the worker does not have them any more, or they are not those that it committed to", lacking))
	}
	return missing
}

// evidenceOf is that of every beat, and of the close.
func evidenceOf(w *leasev1.Whole) []*leasev1.Evidence {
	var all []*leasev1.Evidence
	var last *leasev1.Evidence
	for _, link := range w.GetChain().GetLinks() {
		var b leasev1.Beat
		if err := proto.Unmarshal(link.GetBeat().GetPayload(), &b); err != nil {
			return nil // it is our own journal's; whoever reads the file finds out
		}
		last = b.GetEvidence()
		all = append(all, last)
	}
	var c leasev1.Close
	if err := proto.Unmarshal(w.GetReceipt().GetClose(), &c); err == nil && c.GetEvidence() != nil {
		all = append(all, evidence.Complete(c.GetEvidence(), last))
	}
	return all
}

// samplesOf are those of a lease, from this node's own files when it was the worker.
func (n *Node) samplesOf(ctx context.Context, k kept, first, count uint64) ([][]byte, error) {
	id, err := job.ParseLeaseID(k.summary.LeaseID)
	if err != nil {
		return nil, err
	}
	if k.role != "worker" {
		from, err := peer.Decode(k.summary.Worker)
		if err != nil {
			return nil, err
		}
		return n.Samples(ctx, from, id[:], first, count)
	}
	by, err := peer.Decode(k.summary.Requester)
	if err != nil {
		return nil, err
	}
	return readSamples(id[:], first, count, func(req *leasev1.SamplesRequest) (*leasev1.SamplesResponse, error) {
		return n.serveSamples(ctx, by, req)
	})
}
