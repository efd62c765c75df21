package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/job/lease"
)

// budgetEvery is how often leases that nobody has paid for are held against the budget of strangers.
const budgetEvery = time.Minute

// watchBudget takes the devices back from strangers that have paid for nothing, once all strangers
// together had them for as long as the owner allows. A lease whose image or inputs never come
// would have no other end.
func (w *Worker) watchBudget(ctx context.Context) {
	tick := time.NewTicker(budgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		why := fmt.Sprintf("requesters that are new here have had today's %s for nothing already", w.Policy.Strangers.Budget)
		for _, n := range w.overdrawn() {
			n.log.Info("a stranger has had the devices for nothing long enough")
			w.wg.Go(func() { n.yield(ctx, 0, why) })
		}
	}
}

// overdrawn are the leases of strangers that have not paid for anything, if the budget is used up.
func (w *Worker) overdrawn() (unpaid []*tenancy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.Now()
	sum := w.accounts.today(now)
	for _, n := range w.tenancies {
		if l := n.session.Lease(); n.stranger && !l.State().Ended() && l.CreditMS() == 0 {
			sum += n.held(now)
			if l.State() != lease.Closing {
				unpaid = append(unpaid, n)
			}
		}
	}
	if sum < w.Policy.Strangers.Budget {
		return nil
	}
	return unpaid
}
