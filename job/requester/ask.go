package requester

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
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
	signed, err := r.stamped(max(r.Market.StampBits(), int(j.stamp)), &marketv1.Announcement{
		Version: 1, Network: r.Network, Requester: r.self, JobId: j.id[:], Sequence: seq,
		IssuedMs: now.UnixMilli(), ExpiresMs: now.Add(announcementLife).UnixMilli(),
		Gpu: sub.Spec.Gpu, Resources: sub.Spec.Resources,
		ImageDigest: sub.Spec.Image.Digest, Platform: sub.Spec.Image.Platform, ImageBytes: sub.Spec.Image.TotalBytes,
		ImageName: job.PublicName(sub.Spec.Image), ImageLayers: sub.Spec.Image.Layers, ImageBlobs: j.marks(), Egress: sub.Spec.Egress,
		MaxPrice: sub.MaxPrice, MaxDurationMs: sub.MaxDurationMs, PeerRecord: record,
		Regions: sub.Placement.GetRegions(),
	})
	if err != nil {
		return nil, fmt.Errorf("announce job %s: %w", j.id, err)
	}
	a := &auction{
		j: j, signed: signed, hash: statement.HashPayload(string(statement.TypeAnnouncement), signed.Payload),
		need: sub.Spec.Gpu, wants: Wants(sub), answers: make(chan answer, 64), told: make(chan bool), began: time.Now(),
		questioned: map[peer.ID]bool{}, waiting: map[peer.ID]uint64{}, heard: map[peer.ID]bool{},
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

// promise is a worker to be asked, and the score that its offer leads to expect.
type promise struct {
	worker peer.ID
	score  uint64
}

// consider puts a worker where it belongs among those to be asked.
func (a *auction) consider(ctx context.Context, o Offer) {
	if a.questioned[o.Worker] || len(a.questioned) >= maxAsked {
		return
	}
	record := a.j.r.Standing.Record(o.Worker)
	if slices.Contains(a.wants.Deny, o.Worker) {
		return
	}
	a.questioned[o.Worker] = true
	if record.Shunned(a.j.r.Now()) {
		a.shunned++
		return
	}
	a.offers++
	score, fits := market.Promise(a.wants, o.Offer, a.j.r.Market.RTT(o.Worker), record.Reputation())
	if !fits {
		score = math.MaxUint64 // it may still say what it lacks
	}
	a.warm = a.warm || fits && !o.Seen.IsZero() && o.Seen.Before(a.began)
	at, _ := slices.BinarySearchFunc(a.queue, score, func(p promise, s uint64) int { return cmp.Compare(p.score, s) })
	a.queue = slices.Insert(a.queue, at, promise{o.Worker, score})
	a.askOn(ctx)
}

// askOn asks the most promising of those not asked yet, while few answers are out.
func (a *auction) askOn(ctx context.Context) {
	asked := false
	for len(a.queue) > 0 && len(a.waiting) < fewAsked && len(a.bids) == 0 {
		next := a.queue[0]
		a.queue = a.queue[1:]
		a.waiting[next.worker] = next.score
		a.ask(ctx, next.worker)
		asked = true
	}
	if asked {
		a.tellSearching(false)
	}
}

// ask asks one worker directly, in the background.
func (a *auction) ask(ctx context.Context, worker peer.ID) {
	a.wg.Go(func() {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		start := time.Now()
		got, err := a.j.r.Market.Ask(asking, worker, a.signed)
		an := answer{from: worker, answer: got, rtt: time.Since(start), asked: true, err: err}
		switch {
		case err == nil:
			if rtt := a.j.distance(asking, worker); rtt > 0 {
				an.rtt = rtt // without the dialling
			}
		case ctx.Err() == nil:
			a.j.log.Debug("ask for a bid", "peer", worker, "err", err)
		}
		select {
		case a.answers <- an:
		case <-ctx.Done():
		}
	})
}

// distance is the round trip to a worker; 0 when it is not known. It is measured only
// where the job asks for one at most.
func (j *run) distance(ctx context.Context, worker peer.ID) time.Duration {
	if rtt := j.r.Market.RTT(worker); rtt > 0 || j.sub.Placement.GetMaxRttMs() == 0 {
		return rtt
	}
	rtt, err := j.r.Market.Ping(ctx, worker)
	if err != nil {
		j.log.Debug("measure the distance", "peer", worker, "err", err)
	}
	return rtt
}

// measure brings a bid that nobody asked for again, once its worker's distance is
// known: true when the job wants to know and nobody does yet.
func (a *auction) measure(ctx context.Context, an answer) bool {
	if an.asked || an.rtt > 0 || a.wants.MaxRTT == 0 || an.answer.GetBid() == nil || a.measured >= maxAsked {
		return false
	}
	a.measured++
	a.wg.Go(func() {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		an.rtt = max(1, a.j.distance(asking, an.from)) // never asked twice
		a.deliver(an)
	})
	return true
}

// publish announces the job on gossip, in the background; to others each time.
func (a *auction) publish(ctx context.Context) {
	wider, offers := a.pushes, a.offers
	a.announced = true
	a.pushes++
	a.wg.Go(func() {
		told, err := a.j.r.Market.Announce(ctx, a.need, a.signed, wider)
		if err != nil {
			a.j.log.Info("announce", "err", err)
			return
		}
		if wider == 0 {
			a.j.tellSearching(offers, true)
		}
		select {
		case a.told <- told:
		case <-ctx.Done():
		}
	})
}

func (a *auction) tellSearching(announced bool) { a.j.tellSearching(a.offers, announced) }

func (j *run) tellSearching(offers uint32, announced bool) {
	j.tell(&leasev1.JobEvent{Event: &leasev1.JobEvent_Searching{Searching: &leasev1.Searching{
		Peers: uint32(j.r.Market.Connected()), Offers: offers, Announced: announced,
	}}})
}

// Wants is what a submission asks of bids.
func Wants(sub *leasev1.Submission) market.Wants {
	p := sub.GetPlacement()
	w := market.Wants{
		MaxPrice: sub.GetMaxPrice(), Requirement: sub.GetSpec().GetGpu(),
		MaxDuration: time.Duration(sub.GetMaxDurationMs()) * time.Millisecond,
		Regions:     p.GetRegions(), MaxRTT: time.Duration(p.GetMaxRttMs()) * time.Millisecond,
		MinReputation: int(p.GetMinReputation()), Prefer: market.PreferenceOf(sub.GetPrefer(), sub.GetMaxPrice()),
	}
	for _, text := range p.GetDeny() {
		if id, err := peer.Decode(text); err == nil { // Submit refuses others
			w.Deny = append(w.Deny, id)
		}
	}
	return w
}
