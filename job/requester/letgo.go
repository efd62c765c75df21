package requester

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/statement"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	// maxLosers bounds how many workers are told that another bid won.
	maxLosers = 16
	// letGoTimeout bounds telling them.
	letGoTimeout = 5 * time.Second
)

// past is an auction that is over.
type pastAuction struct {
	until time.Time // when its announcement has expired everywhere
	price uint64    // of the bid that won; 0: none did
}

// shut lets no further answer to an announcement in; whoever still brings one learns
// that it is over.
func (r *Requester) shut(hash [32]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.asked, hash)
	now := r.Now()
	for h, p := range r.shutAt {
		if p.until.Before(now) {
			delete(r.shutAt, h)
		}
	}
	p := r.shutAt[hash]
	p.until = now.Add(2 * announcementLife)
	r.shutAt[hash] = p
}

// Answered takes a worker's bid or decline for something announced here. over says
// that it came too late, and price what was agreed on with another.
func (r *Requester) Answered(from peer.ID, a *marketv1.Answer) (over bool, price uint64) {
	hash, ok := answerTo(a)
	if !ok {
		return true, 0
	}
	r.mu.Lock()
	au, past := r.asked[hash], r.shutAt[hash]
	r.mu.Unlock()
	if au == nil {
		return true, past.price
	}
	au.deliver(answer{from: from, answer: a, rtt: r.Market.RTT(from)})
	return false, 0
}

// withdraw says that the job is awarded: to those whose bids lost, and where it was
// announced to everybody. It is one small message, in the background.
func (a *auction) withdraw(t *tenure) {
	r, price := a.j.r, t.terms.GetPrice()
	r.mu.Lock()
	r.shutAt[a.hash] = pastAuction{until: r.Now().Add(2 * announcementLife), price: price}
	life := r.ctx // the search's own ends now
	r.mu.Unlock()
	var losers []peer.ID
	for _, b := range a.bids {
		if b.Worker != t.worker && len(losers) < maxLosers {
			losers = append(losers, b.Worker)
		}
	}
	if len(losers) == 0 && !a.announced || life == nil {
		return
	}
	signed, err := statement.Sign(r.Key, statement.TypeWithdrawal, &marketv1.Withdrawal{
		Version: 1, Network: r.Network, Requester: r.self, AnnouncementHash: a.hash[:],
		Price: price, IssuedMs: r.Now().UnixMilli(),
	})
	if err != nil {
		a.j.log.Warn("withdraw an announcement", "err", err)
		return
	}
	r.wg.Go(func() {
		ctx, cancel := context.WithTimeout(life, letGoTimeout)
		defer cancel()
		r.Market.Withdraw(ctx, losers, a.announced, signed)
	})
}
