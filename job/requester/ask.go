package requester

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

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
		ImageDigest: sub.Spec.Image.Digest, Platform: sub.Spec.Image.Platform, ImageBytes: sub.Spec.Image.TotalBytes, Egress: sub.Spec.Egress,
		MaxPrice: sub.MaxPrice, MaxDurationMs: sub.MaxDurationMs, PeerRecord: record,
	})
	if err != nil {
		return nil, fmt.Errorf("announce job %s: %w", j.id, err)
	}
	a := &auction{
		j: j, signed: signed, hash: statement.HashPayload(string(statement.TypeAnnouncement), signed.Payload),
		need: sub.Spec.Gpu, wants: wants(sub), answers: make(chan answer, 64),
		questioned: map[peer.ID]bool{}, heard: map[peer.ID]bool{},
	}
	r.mu.Lock()
	r.asked[a.hash] = a
	r.mu.Unlock()
	return a, nil
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
	if a.questioned[worker] || len(a.questioned) >= maxAsked {
		return
	}
	a.questioned[worker] = true
	a.offers++
	a.asked++
	a.expect(o.Offer)
	a.tellSearching(false)
	a.wg.Go(func() {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		start := time.Now()
		got, err := a.j.r.Market.Ask(asking, worker, a.signed)
		an := answer{from: worker, answer: got, rtt: time.Since(start), asked: true, failed: err != nil}
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
