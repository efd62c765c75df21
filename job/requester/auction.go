package requester

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/market"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	// announceAfter is how long workers that are known are asked alone.
	announceAfter = 200 * time.Millisecond
	// settle is how long after a first acceptable bid a better one is waited for,
	// when not everybody asked has answered.
	settle = 150 * time.Millisecond
	// patience bounds one auction in which nobody bids.
	patience = 3 * time.Second
	// askTimeout bounds one worker's answer.
	askTimeout = 2 * time.Second
	// againAfter is the pause between auctions while a job waits for a bid.
	againAfter = 5 * time.Second
	// maxLost is how many auctions in a row may be lost to others that were quicker.
	maxLost = 8
	// announcementLife is how long workers may answer.
	announcementLife = 30 * time.Second
	// maxAsked bounds how many workers one auction asks directly; the rest hear of
	// it on gossip.
	maxAsked = 64
	// maxUnasked bounds how many workers' answers that nobody asked for are looked at.
	maxUnasked = 512
	// maxDeclines bounds how many of one auction's declines are told.
	maxDeclines = 64
)

var (
	errNoBid = errors.New("nobody bid")
	// errTaken: every bid's devices went to somebody else first.
	errTaken = errors.New("the devices were gone when they were asked for")
)

// answer is what one worker said.
type answer struct {
	from   peer.ID
	answer *marketv1.Answer
	rtt    time.Duration
	asked  bool // directly
	failed bool // asked, and nothing came
}

// bid is an acceptable bid.
type bid struct {
	market.Candidate
	signed *marketv1.Signed
}

// auction is one announcement and what came back.
type auction struct {
	j       *run
	signed  *marketv1.Signed
	hash    [32]byte
	need    *marketv1.Requirement
	wants   market.Wants
	answers chan answer
	wg      sync.WaitGroup

	questioned map[peer.ID]bool // asked directly
	heard      map[peer.ID]bool // answered
	asked      int              // directly, and no answer came yet
	unasked    int              // answers nobody asked for
	offers     uint32
	searched   bool // every known way to find an offer was tried
	bids       []bid
	declines   int
}

// auction runs auctions until a lease is signed, or until nobody bid for as long
// as the submission waits.
func (j *run) auction(ctx context.Context) (*tenure, error) {
	if t, err := j.retry(ctx); t != nil || err != nil {
		return t, err
	}
	deadline := j.created.Add(time.Duration(j.sub.WaitMs) * time.Millisecond)
	for lost := 0; ; {
		t, err := j.auctionOnce(ctx)
		if err == nil || !errors.Is(err, errNoBid) {
			return t, err
		}
		if errors.Is(err, errTaken) && lost < maxLost {
			lost++
			continue // somebody was quicker: there may be other devices
		}
		if !j.r.Now().Add(againAfter).Before(deadline) {
			return nil, err
		}
		if err := pause(ctx, againAfter); err != nil {
			return nil, err
		}
	}
}

func (j *run) auctionOnce(ctx context.Context) (*tenure, error) {
	a, err := j.announce()
	if err != nil {
		return nil, err
	}
	defer a.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := a.collect(ctx); err != nil {
		return nil, err
	}
	taken := len(a.bids)
	for len(a.bids) > 0 {
		best := a.best()
		t, err := j.award(ctx, a.bids[best])
		if err == nil {
			return t, nil
		}
		var broken errJournal
		if errors.As(err, &broken) || ctx.Err() != nil {
			return nil, err
		}
		j.log.Info("award not taken up", "peer", a.bids[best].Worker, "err", err)
		a.bids = append(a.bids[:best], a.bids[best+1:]...)
	}
	switch {
	case taken > 0:
		return nil, fmt.Errorf("%w that could be taken up: %w", errNoBid, errTaken)
	case a.offers == 0 && a.declines == 0:
		return nil, fmt.Errorf("%w: no worker was found; this node is connected to %d others", errNoBid, j.r.Market.Connected())
	}
	return nil, fmt.Errorf("%w: %d offers looked at, %d workers declined", errNoBid, a.offers, a.declines)
}

// close lets no further answer in.
func (a *auction) close() {
	r := a.j.r
	r.mu.Lock()
	delete(r.asked, a.hash)
	r.mu.Unlock()
	a.wg.Wait()
}

// deliver brings an answer, unless the auction has more than it can take.
func (a *auction) deliver(an answer) {
	select {
	case a.answers <- an:
	default:
	}
}

// collect gathers bids until there is a good one, or until it has been long enough.
func (a *auction) collect(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	offers, err := a.look(ctx)
	if err != nil {
		return err
	}
	push := time.NewTimer(a.pushAfter())
	end := time.NewTimer(patience)
	settled := time.NewTimer(patience)
	settled.Stop()
	defer func() { push.Stop(); end.Stop(); settled.Stop() }()
	announced := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case o, ok := <-offers:
			if !ok {
				a.searched, offers = true, nil
				break
			}
			a.ask(ctx, o.Worker, &o)
		case <-push.C:
			if len(a.bids) == 0 || a.j.sub.Broadcast {
				announced = true
				a.publish(ctx)
			}
		case an := <-a.answers:
			before := len(a.bids)
			a.hear(an)
			if before == 0 && len(a.bids) > 0 {
				settled.Reset(settle)
			}
		case <-settled.C:
			return nil
		case <-end.C:
			return nil
		}
		if a.enough(announced) {
			return nil
		}
	}
}

// enough says whether waiting longer can bring nothing, or nothing much better.
func (a *auction) enough(announced bool) bool {
	for _, b := range a.bids {
		if !a.j.sub.Broadcast && market.GoodEnough(a.wants, b.Candidate) {
			return true
		}
	}
	return len(a.bids) > 0 && a.searched && a.asked == 0 && !announced
}

// best is the index of the bid to take up. There is at least one.
func (a *auction) best() int {
	cs := make([]market.Candidate, len(a.bids))
	for i, b := range a.bids {
		cs[i] = b.Candidate
	}
	if i, ok := market.Choose(a.wants, cs); ok {
		return i
	}
	return 0
}

// pause waits, or says that ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
