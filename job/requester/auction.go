package requester

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
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
	// announcementLife is how long workers may answer.
	announcementLife = 30 * time.Second
	// maxAnswers bounds what one auction takes in from the network.
	maxAnswers = 512
)

var errNoBid = errors.New("nobody bid")

// answer is what one worker said.
type answer struct {
	from   peer.ID
	answer *marketv1.Answer
	rtt    time.Duration
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

	heard    map[peer.ID]bool
	asked    int // of which no answer came yet
	offers   uint32
	searched bool // every known way to find an offer was tried
	bids     []bid
	declines int
}

// auction runs auctions until a lease is signed, or until nobody bid for as long
// as the submission waits.
func (j *run) auction(ctx context.Context) (*tenure, error) {
	if t, err := j.retry(ctx); t != nil || err != nil {
		return t, err
	}
	deadline := j.r.Now().Add(time.Duration(j.sub.WaitMs) * time.Millisecond)
	for {
		t, err := j.auctionOnce(ctx)
		if err == nil || !errors.Is(err, errNoBid) {
			return t, err
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
	return nil, fmt.Errorf("%w: %d offers looked at, %d workers declined", errNoBid, a.offers, a.declines)
}

// announce signs an announcement and makes its answers come here.
func (j *run) announce() (*auction, error) {
	r, sub := j.r, j.sub
	record, err := r.Market.PeerRecord()
	if err != nil {
		return nil, fmt.Errorf("announce job %s: %w", j.id, err)
	}
	now := r.Now()
	r.mu.Lock()
	r.seq = max(r.seq+1, uint64(now.UnixMicro()))
	seq := r.seq
	r.mu.Unlock()
	signed, err := statement.Sign(r.Key, statement.TypeAnnouncement, &marketv1.Announcement{
		Version: 1, Network: r.Network, Requester: r.self, JobId: j.id[:], Sequence: seq,
		IssuedMs: now.UnixMilli(), ExpiresMs: now.Add(announcementLife).UnixMilli(),
		Gpu: sub.Spec.Gpu, Resources: sub.Spec.Resources,
		ImageDigest: sub.Spec.Image.Digest, Platform: sub.Spec.Image.Platform, ImageBytes: sub.Spec.Image.TotalBytes,
		MaxPrice: sub.MaxPrice, MaxDurationMs: sub.MaxDurationMs, PeerRecord: record,
	})
	if err != nil {
		return nil, fmt.Errorf("announce job %s: %w", j.id, err)
	}
	a := &auction{
		j: j, signed: signed, hash: statement.HashPayload(string(statement.TypeAnnouncement), signed.Payload),
		need: sub.Spec.Gpu, wants: wants(sub), answers: make(chan answer, 64), heard: map[peer.ID]bool{},
	}
	r.mu.Lock()
	r.asked[a.hash] = a
	r.mu.Unlock()
	return a, nil
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
	for n := 0; n < maxAnswers; {
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
			n++
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
	return nil
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

// pushAfter is when the announcement goes out on gossip; never, when one worker was named.
func (a *auction) pushAfter() time.Duration {
	switch {
	case a.j.sub.Worker != "":
		return 2 * patience
	case a.j.sub.Broadcast:
		return 0
	default:
		return announceAfter
	}
}

// look finds workers to ask: the one named, or all whose offers could serve.
func (a *auction) look(ctx context.Context) (<-chan Offer, error) {
	if a.j.sub.Worker == "" {
		return a.j.r.Market.Offers(ctx, a.need), nil
	}
	id, err := a.j.r.Market.Resolve(ctx, a.j.sub.Worker)
	if err != nil {
		return nil, fmt.Errorf("worker %s: %w", a.j.sub.Worker, err)
	}
	one := make(chan Offer, 1)
	one <- Offer{Worker: id}
	close(one)
	return one, nil
}

// ask asks one worker directly, in the background.
func (a *auction) ask(ctx context.Context, worker peer.ID, o *Offer) {
	if a.heard[worker] {
		return
	}
	a.heard[worker] = true
	a.offers++
	a.asked++
	a.expect(o.Offer)
	a.tellSearching(false)
	a.wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		start := time.Now()
		got, err := a.j.r.Market.Ask(ctx, worker, a.signed)
		an := answer{from: worker, answer: got, rtt: time.Since(start), failed: err != nil}
		if err != nil && ctx.Err() == nil {
			a.j.log.Debug("ask for a bid", "peer", worker, "err", err)
		}
		select {
		case a.answers <- an:
		case <-ctx.Done():
		}
	})
}

// expect makes the cheapest offer seen the price of a bid that is good enough.
func (a *auction) expect(o *marketv1.Offer) {
	need := market.Requirement(a.need)
	for _, d := range o.GetDevices() {
		if !need.Fits(market.Device(d)) {
			continue
		}
		if a.wants.GoodPrice == 0 || d.Price < a.wants.GoodPrice {
			a.wants.GoodPrice = d.Price
		}
	}
}

// publish announces the job on gossip.
func (a *auction) publish(ctx context.Context) {
	if err := a.j.r.Market.Announce(ctx, a.need, a.signed); err != nil {
		a.j.log.Info("announce", "err", err)
		return
	}
	a.tellSearching(true)
}

func (a *auction) tellSearching(announced bool) {
	a.j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Searching{Searching: &leasev1.Searching{
		Peers: uint32(a.j.r.Market.Connected()), Offers: a.offers, Announced: announced,
	}}})
}

func wants(sub *leasev1.Submission) market.Wants {
	return market.Wants{
		MaxPrice: sub.MaxPrice, Requirement: sub.Spec.Gpu,
		MaxDuration: time.Duration(sub.MaxDurationMs) * time.Millisecond,
	}
}

// answerTo is the announcement an answer is about.
func answerTo(a *marketv1.Answer) ([32]byte, bool) {
	var hash []byte
	switch v := a.GetAnswer().(type) {
	case *marketv1.Answer_Bid:
		b, err := statement.OpenBid(v.Bid)
		if err != nil {
			return [32]byte{}, false
		}
		hash = b.Message().AnnouncementHash
	case *marketv1.Answer_Decline:
		hash = v.Decline.AnnouncementHash
	}
	if len(hash) != 32 {
		return [32]byte{}, false
	}
	return [32]byte(hash), true
}

// hear takes one answer in: a bid is verified before it counts.
func (a *auction) hear(an answer) {
	if an.rtt > 0 {
		a.asked--
	}
	if an.failed {
		return
	}
	switch v := an.answer.GetAnswer().(type) {
	case *marketv1.Answer_Bid:
		if err := a.consider(an, v.Bid); err != nil {
			a.j.log.Debug("bid not considered", "peer", an.from, "err", err)
		}
	case *marketv1.Answer_Decline:
		a.declines++
		v.Decline.Text = job.CleanText(v.Decline.Text)
		a.j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Decline{Decline: &leasev1.DeclineReceived{
			PeerId: an.from.String(), Decline: v.Decline,
		}}})
	}
}

func (a *auction) consider(an answer, signed *marketv1.Signed) error {
	v, err := statement.OpenBid(signed)
	if err != nil {
		return err
	}
	b := v.Message()
	if err := job.CheckBid(b); err != nil {
		return err
	}
	signer, err := job.PeerID(v.Signer())
	if err != nil || signer != an.from {
		return fmt.Errorf("signed by %s", signer)
	}
	if [32]byte(b.AnnouncementHash) != a.hash || b.Network != a.j.r.Network || b.ExpiresMs < a.j.r.Now().UnixMilli() {
		return errors.New("not an answer to this announcement, or too old")
	}
	for _, have := range a.bids {
		if have.Worker == signer {
			return nil // asked directly and heard on gossip as well
		}
	}
	if err := market.Acceptable(a.wants, b); err != nil {
		return err
	}
	a.bids = append(a.bids, bid{Candidate: market.Candidate{Bid: b, Worker: signer, RTT: an.rtt}, signed: signed})
	a.j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Bid{Bid: &leasev1.BidReceived{PeerId: signer.String(), Bid: b}}})
	return nil
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
