package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// A requester's wishes are written down: wishBurst of them at once, and one each wishEvery after that.
const (
	wishEvery = 6 * time.Second
	wishBurst = 10
)

// KindStill says whether a requester has its task stand still; the event is the FreezeRequest.
const KindStill = "worker.still"

// Freeze has a task stand still, or go on, as the requester of its lease wishes. It returns
// when the task does, unless the lease or the owner holds it as well. The lease goes on
// either way, and so does its credit: the devices are the requester's. ErrNoLease.
func (w *Worker) Freeze(ctx context.Context, from peer.ID, req *leasev1.FreezeRequest) (*leasev1.FreezeResponse, error) {
	n, err := w.tenancy(req.LeaseId, from)
	if err != nil {
		return nil, err
	}
	if phase := n.board.phase(); phase > leasev1.Phase_PHASE_FROZEN {
		return &leasev1.FreezeResponse{Phase: phase}, nil // too late
	}
	ctx, cancel := context.WithTimeout(ctx, freezeTimeout)
	defer cancel()
	if err := n.stand(ctx, req); err != nil {
		return nil, err
	}
	return &leasev1.FreezeResponse{Phase: n.settles(ctx)}, nil
}

// stand records the wish, and passes it on to the task. A wish that comes soon after many others
// waits, and is refused when ctx ends before its turn.
func (n *tenancy) stand(ctx context.Context, req *leasev1.FreezeRequest) error {
	n.standing.Lock()
	defer n.standing.Unlock()
	if n.still.Load() == req.Frozen {
		return nil
	}
	if err := n.wishes.Wait(ctx); err != nil {
		return fmt.Errorf("freeze or thaw the task of lease %s so often: %w", n.id, err)
	}
	event, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	rec := journal.Record{Key: n.id.String(), Kind: KindStill, At: n.w.Now(), Event: event}
	if err := n.w.Journal.Append(rec); err != nil {
		return fmt.Errorf("journal that the task of lease %s stands still: %w", n.id, err)
	}
	n.still.Store(req.Frozen)
	if req.Frozen {
		n.freezes.Add(1)
	}
	select {
	case n.wished <- struct{}{}:
	default:
	}
	return nil
}

// settles waits until the task stands as its requester wishes, and says how it stands.
func (n *tenancy) settles(ctx context.Context) leasev1.Phase {
	for {
		p, _, changed := n.board.look()
		still := n.still.Load() || n.session.Lease().Frozen()
		if p.Phase != leasev1.Phase_PHASE_RUNNING && p.Phase != leasev1.Phase_PHASE_FROZEN || still == (p.Phase == leasev1.Phase_PHASE_FROZEN) {
			return p.Phase
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return p.Phase
		}
	}
}

// obey does what the requester wishes of a task that runs, until ctx ends.
func (t *task) obey(ctx context.Context) {
	for {
		select {
		case <-t.s.wished:
		case <-ctx.Done():
			return
		}
		t.mu.Lock()
		if !t.stopping {
			t.hold(ctx)
		}
		t.mu.Unlock()
	}
}

// recallStill reads from the journal what the requester wished last.
func (h *history) recallStill(rec journal.Record) error {
	var req leasev1.FreezeRequest
	if err := proto.Unmarshal(rec.Event, &req); err != nil {
		return fmt.Errorf("wish in the journal: %w", err)
	}
	h.last, h.still = rec.At, req.Frozen
	return nil
}
