package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/job/lease"
)

// budgetEvery is how often it is looked for leases that nobody has paid for in time.
const budgetEvery = time.Minute

// watchBudget takes the devices back from strangers that have paid for nothing in all the time that
// the owner allows strangers. A lease whose image or inputs never come would have no other end.
func (w *Worker) watchBudget(ctx context.Context) {
	tick := time.NewTicker(budgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		why := fmt.Sprintf("you are new here, and have paid for nothing in %s", w.Policy.Strangers.Budget)
		for _, n := range w.overdrawn() {
			n.log.Info("a stranger has had the devices for nothing long enough")
			w.wg.Go(func() { n.yield(ctx, 0, why) })
		}
	}
}

// overdrawn are the leases of strangers that nothing was paid in for as long as the budget. It is
// time on the clock, not on devices: who rents eight of them needs no less time for an image.
func (w *Worker) overdrawn() (unpaid []*tenancy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.tenancies {
		l := n.session.Lease()
		ending := l.State().Ended() || l.State() == lease.Closing
		if n.stranger && !ending && l.CreditMS() == 0 && w.Now().Sub(n.created) >= w.Policy.Strangers.Budget {
			unpaid = append(unpaid, n)
		}
	}
	return unpaid
}
