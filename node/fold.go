package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/heartbeat/seal"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/receipt"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// The seals of a lease that has ended are folded into one proof, which is an eighth of the
// work to check and lies beside the receipt. Nobody waits for it: a lease without is opened
// with the seals' own proofs.

const (
	foldSuffix = ".fold"
	// fewestFolded is from how many heartbeats on it pays to fold their seals.
	fewestFolded = 64
	// mostFolded bounds the memory and the time of one folding: 22 days of minutes.
	mostFolded = 1 << 15
	// foldsWaiting is how many leases wait to be folded. More than that are not.
	foldsWaiting = 64
)

// foldSeals folds what was kept, one lease after the other, until ctx ends.
func (n *Node) foldSeals(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case k := <-n.receipts.foldable:
			if err := n.foldLease(ctx, k); err != nil && ctx.Err() == nil {
				n.log.Debug("fold the seals of a lease", "lease", k.summary.LeaseID, "err", err)
			}
		}
	}
}

// foldLease makes the one proof for the seals of a lease, unless it is there.
func (n *Node) foldLease(ctx context.Context, k kept) error {
	path := n.receipts.path(k.summary.LeaseID, k.role, foldSuffix)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	w, err := n.whole(k)
	if err != nil {
		return err
	}
	if w.Receipt, err = receipt.Parse(k.file); err != nil {
		return err
	}
	work, err := receipt.BeginFold(w)
	if err != nil {
		return err
	}
	rest := time.NewTicker(seal.Rest)
	defer rest.Stop()
	for !work.Step(seal.Slice) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rest.C:
		}
	}
	b, err := proto.Marshal(work.Seal())
	if err != nil {
		return err
	}
	return journal.WriteFile(path, b)
}

// offerToFold lets a receipt's seals be folded, if that pays and few others wait.
func (r *receipts) offerToFold(k kept) {
	if k.summary.Squarings == 0 || k.summary.Beats < fewestFolded || k.summary.Beats > mostFolded {
		return
	}
	select {
	case r.foldable <- k:
	default:
	}
}

// takeFold puts the one proof in the place of the seals' own, if it was made.
func (r *receipts) takeFold(k kept, c *leasev1.Chain) error {
	b, err := os.ReadFile(r.path(k.summary.LeaseID, k.role, foldSuffix))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	proof := &leasev1.Seal{}
	if err := proto.Unmarshal(b, proof); err != nil {
		return fmt.Errorf("folded proof of lease %s: %w", k.summary.LeaseID, err)
	}
	receipt.Fold(c, proof)
	return nil
}

// path is where something of a lease is kept.
func (r *receipts) path(leaseID, role, suffix string) string {
	return filepath.Join(r.dir, leaseID+"."+role+suffix)
}
