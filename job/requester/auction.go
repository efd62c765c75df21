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
	// widenAfter is how long those that heard it first are waited for: then it is announced
	// to others, and where there are none it may be over.
	widenAfter = 700 * time.Millisecond
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
	// fewAsked is how many workers are asked at once, the most promising first; the
	// next is asked when one of them does not bid.
	fewAsked = 8
	// maxAsked bounds how many workers one auction asks directly; the rest hear of
	// it on gossip.
	maxAsked = 64
	// maxUnasked bounds how many workers' answers that nobody asked for are looked at.
	maxUnasked = 512
	// maxDeclines bounds how many of one auction's declines are told, and how many
	// of its bids that cannot win.
	maxDeclines = 64
)

var (
	errNoBid = errors.New("nobody bid")
	// errTaken: every bid came to nothing, most often because its devices went to somebody else first.
	errTaken = errors.New("what was bid was gone when it was asked for")
)

// answer is what one worker said.
type answer struct {
	from   peer.ID
	answer *marketv1.Answer
	rtt    time.Duration // 0: not known
	asked  bool          // directly
	err    error         // asked, and nothing came
}

// bid is an acceptable bid.
type bid struct {
	market.Candidate
	signed *marketv1.Signed
}

// auction is one announcement and what came back.
type auction struct {
	j       *run
	began   time.Time
	signed  *marketv1.Signed
	hash    [32]byte
	need    *marketv1.Requirement
	wants   market.Wants
	answers chan answer
	wg      sync.WaitGroup

	questioned map[peer.ID]bool   // asked directly
	waiting    map[peer.ID]uint64 // asked, and no answer yet: the score their offers promise
	heard      map[peer.ID]bool   // answered
	queue      []promise          // to be asked, the most promising first
	unasked    int                // answers nobody asked for
	measured   int                // of those, whose distance was measured
	offers     uint32
	shunned    int           // workers that are not asked, for what they did before
	warm       bool          // a fitting offer was known before the auction began
	searched   bool          // every known way to find an offer was tried
	announced  bool          // on gossip, or about to be
	pushes     int           // so often
	told       chan bool     // each time it was announced: whether to anybody who had not heard of it
	news       time.Time     // the last answer or announcement
	farthest   time.Duration // that anybody who was asked is
	bids       []bid
	refused    []error // why bids cannot win
	unreached  error   // why the last worker that was asked did not answer
	declines   int
}

// auction runs auctions until a lease is signed, or until nobody bid for as long
// as the submission waits, each time anew.
func (j *run) auction(ctx context.Context) (*tenure, error) {
	if t, err := j.retry(ctx); t != nil || err != nil {
		return t, err
	}
	deadline := j.sought.Add(time.Duration(j.sub.WaitMs) * time.Millisecond)
	for lost := 0; ; {
		stamp := j.stamp
		t, err := j.auctionOnce(ctx)
		if err == nil || !errors.Is(err, errNoBid) {
			return t, err
		}
		if errors.Is(err, errTaken) && lost < maxLost {
			lost++
			continue // somebody was quicker: there may be other devices
		}
		if j.stamp > stamp {
			continue // with the work that a worker wants
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
	searching, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := a.collect(searching); err != nil {
		return nil, err
	}
	t, err := a.award(searching)
	if err != nil {
		return nil, err
	}
	a.withdraw(t)
	return t, nil
}

// award takes up the best bid, and the next best when that one is refused: a lost
// race costs no new auction.
func (a *auction) award(ctx context.Context) (*tenure, error) {
	var refused error // the last award that came to nothing
	for {
		a.drain()
		best, ok := a.best()
		if !ok {
			return nil, a.nobody(refused)
		}
		b := a.bids[best]
		t, err := a.j.award(ctx, b)
		if err == nil {
			return t, nil
		}
		var broken errJournal
		if errors.As(err, &broken) || ctx.Err() != nil {
			return nil, err
		}
		refused = err
		a.j.log.Info("award not taken up", "peer", b.Worker, "err", err)
		a.bids = append(a.bids[:best], a.bids[best+1:]...)
	}
}

// nobody says why no bid was taken up.
func (a *auction) nobody(refused error) error {
	switch {
	case refused != nil:
		return fmt.Errorf("%w that could be taken up: %w: %w", errNoBid, errTaken, refused)
	case len(a.refused) > 0 && a.declines == 0:
		return fmt.Errorf("%w as was asked for: of %d bids one said %w", errNoBid, len(a.refused), a.refused[0])
	case a.offers == 0 && a.declines == 0 && a.shunned > 0:
		return fmt.Errorf("%w: of %d workers none is asked, for they did not stand by bids of before: that is forgotten within hours", errNoBid, a.shunned)
	case a.offers == 0 && a.declines == 0:
		return fmt.Errorf("%w: no worker was found; this node is connected to %d others", errNoBid, a.j.r.Market.Connected())
	case len(a.heard) == 0 && a.unreached != nil:
		return fmt.Errorf("%w: no worker that was asked answered: %v", errNoBid, a.unreached)
	}
	return fmt.Errorf("%w: %d offers looked at, %d workers declined", errNoBid, a.offers, a.declines)
}

// close lets no further answer in.
func (a *auction) close() {
	a.j.r.shut(a.hash)
	a.wg.Wait()
}

// deliver brings an answer, unless the auction has more than it can take.
func (a *auction) deliver(an answer) {
	select {
	case a.answers <- an:
	default:
	}
}

// drain takes in what has come meanwhile.
func (a *auction) drain() {
	for {
		select {
		case an := <-a.answers:
			a.hear(an)
		default:
			return
		}
	}
}

// collect gathers bids until the best one is good enough, until everybody has said no,
// or until it has been long enough. There is no fixed window: see hopes.
func (a *auction) collect(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	offers, err := a.look(ctx)
	if err != nil {
		return err
	}
	push, end := time.NewTimer(a.pushAfter()), time.NewTimer(patience)
	settled := time.NewTimer(patience)
	settled.Stop()
	defer func() { push.Stop(); end.Stop(); settled.Stop() }()
	settling := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case o, ok := <-offers:
			if !ok {
				a.searched, offers = true, nil
				break
			}
			a.consider(ctx, o)
		case <-push.C:
			if len(a.bids) == 0 || a.j.sub.Broadcast {
				a.publish(ctx)
				push.Reset(widenAfter)
			}
		case an := <-a.answers:
			if !a.measure(ctx, an) {
				a.hear(an)
				a.askOn(ctx)
			}
		case told := <-a.told:
			if told {
				a.news = time.Now()
			} else if a.quiet() {
				return nil
			}
		case <-settled.C:
			return nil
		case <-end.C:
			return nil
		}
		switch {
		case len(a.bids) == 0 && a.j.sub.Worker != "" && a.exhausted():
			return nil // nobody else is to serve
		case len(a.bids) == 0:
		case !a.hopes():
			return nil
		case !settling:
			settled.Reset(market.Patience(time.Since(a.began)))
			settling = true
		}
	}
}

// exhausted says whether everybody that can be found was asked, and answered or had the time to.
func (a *auction) exhausted() bool { return a.searched && len(a.queue) == 0 && len(a.waiting) == 0 }

// quiet says whether, after everybody was told, those that answered have said no and
// nobody else is expected to answer.
func (a *auction) quiet() bool {
	return len(a.bids) == 0 && len(a.heard) > 0 && a.exhausted() && time.Since(a.news) >= market.Quiet(a.farthest)
}

// hopes says whether a better bid than the best so far may be on its way: from a
// worker that was asked and whose offer promises it, from a search that has only
// just found somebody, or from whoever heard the announcement.
func (a *auction) hopes() bool {
	if a.announced || a.j.sub.Broadcast || !a.searched && !a.warm {
		return true
	}
	best, ok := a.best()
	if !ok {
		return true
	}
	score := market.Rate(a.wants.Prefer, a.bids[best].Candidate).Total()
	for _, promised := range a.waiting {
		if promised < score {
			return true
		}
	}
	return false
}

// best is the index of the bid to take up.
func (a *auction) best() (int, bool) {
	cs := make([]market.Candidate, len(a.bids))
	for i, b := range a.bids {
		cs[i] = b.Candidate
	}
	wants := a.wants
	wants.Now = a.j.r.Now()
	order := market.Rank(wants, cs)
	if len(order) == 0 {
		return 0, false
	}
	return order[0], true
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
