package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/announce"
	"github.com/rigmesh/rigmesh/p2p/discovery"
)

const (
	// answerTimeout bounds bringing an answer to a requester that announced a job.
	answerTimeout = 5 * time.Second
	// maxAnswering bounds how many answers are brought at once; what is heard
	// beyond it is let pass.
	maxAnswering = 32
)

// ears answer what a worker hears on gossip, each in the background.
type ears struct {
	n         *Node
	ctx       context.Context // of lend
	slots     chan struct{}
	answering sync.WaitGroup
}

// lend keeps this node findable and answers what it hears, until ctx ends.
func (n *Node) lend(ctx context.Context) error {
	tiers, classes := n.served()
	e := &ears{n: n, ctx: ctx, slots: make(chan struct{}, maxAnswering)}
	defer e.answering.Wait()
	e.answering.Go(func() {
		n.stand(ctx, discovery.Republish, nil, func() []string { return n.keysOf(classes) })
	})
	errs := make(chan error, len(tiers))
	for _, t := range tiers {
		go func() { errs <- n.board.Hear(ctx, t, e) }()
	}
	var all []error
	for range tiers {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// served are the tiers that the devices serve and the classes they are of. Memory that
// the owner keeps is left out of account: how much that is may change while the node runs.
func (n *Node) served() (tiers, classes []string) {
	for _, v := range n.keeper.Devices() {
		served := job.TiersServed(v.Device.VRAM)
		tiers = append(tiers, served...)
		classes = append(classes, "model/"+v.Device.Model)
		for _, t := range served {
			classes = append(classes, "vram/"+t)
		}
	}
	return distinct(tiers), distinct(classes)
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// keysOf are the keys of classes that this node stands under. As the network grows or shrinks
// they are others.
func (n *Node) keysOf(classes []string) (keys []string) {
	for _, class := range classes {
		for _, key := range n.spread().Keys(class, n.host.ID()) {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// spread is how finely classes are split over keys, by the size of the network.
func (n *Node) spread() discovery.Spread { return n.adapt(&n.split) }

// audience is how finely tiers are split over topics, likewise.
func (n *Node) audience() discovery.Spread { return n.adapt(&n.tiers) }

// adapt brings a spread up to the size of the network as it is estimated now.
func (n *Node) adapt(s *discovery.Spread) discovery.Spread {
	n.splitting.Lock()
	defer n.splitting.Unlock()
	if all, ok := n.discovery.Population(); ok {
		*s = s.Next(all)
	}
	return *s
}

// Announced answers an announcement, unless too many answers are on their way.
func (e *ears) Announced(a announce.Announcement) {
	select {
	case e.slots <- struct{}{}:
	default:
		return
	}
	e.answering.Go(func() {
		defer func() { <-e.slots }()
		ctx, cancel := context.WithTimeout(e.ctx, answerTimeout)
		defer cancel()
		if err := e.n.worker.Hear(ctx, a); err != nil {
			e.n.log.Debug("answer an announcement", "err", err)
		}
	})
}

// Withdrawn lets a job go.
func (e *ears) Withdrawn(w announce.Withdrawal) {
	if err := e.n.worker.LetGo(w); err != nil {
		e.n.log.Debug("withdrawal", "err", err)
	}
}

// crowd is how many nodes hear what this one hears, at most about: as many as there
// are, by the estimate of the DHT, or the share of them that its shard holds.
func (n *Node) crowd() int {
	if all, ok := n.discovery.Population(); ok {
		return all >> max(0, n.audience().Bits()-1)
	}
	return n.discovery.Known()
}
