package worker

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/statement"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	// BidLife is how long a bid may be taken up.
	BidLife = 30 * time.Second
	// OfferLife is how long an offer is believed.
	OfferLife = 5 * time.Minute
)

// Announcement is a verified announcement.
type Announcement = statement.Verified[*marketv1.Announcement]

// Hear answers an announcement that came on gossip: it dials the requester and
// brings the bid or decline.
func (w *Worker) Hear(ctx context.Context, ann Announcement) error {
	to, err := w.Peers.AddPeerRecord(ann.Message().PeerRecord)
	if err != nil {
		return fmt.Errorf("addresses of an announcement: %w", err)
	}
	if id, err := job.PeerID(ann.Signer()); err != nil || id != to {
		return fmt.Errorf("announcement of %s carries the addresses of %s", id, to)
	}
	a, err := w.Ask(ann)
	if err != nil {
		return err
	}
	if d := a.GetDecline(); d != nil && !w.maySay(d, ann.Hash()) {
		return nil // enough others say the same
	}
	over, price, err := w.Peers.Answer(ctx, to, a)
	if over && a.GetBid() != nil {
		w.lost(ann.Hash(), price)
	}
	return err
}

// Declines that are brought to requesters: so many a second, and at once.
const (
	declineRate  = 5
	declineBurst = 40
)

// maySay decides whether a decline is brought to a requester that did not ask for
// it, and for how many workers it stands.
func (w *Worker) maySay(d *marketv1.Decline, hash [32]byte) bool {
	crowd := 0
	if w.Crowd != nil {
		crowd = w.Crowd()
	}
	weight, answer := market.Sampled(d, hash, w.self, crowd)
	if weight > 1 {
		d.Weight = weight
	}
	return answer && w.declines.AllowN(w.Now(), 1)
}

// Ask answers an announcement with a signed bid or a typed decline.
func (w *Worker) Ask(ann Announcement) (*marketv1.Answer, error) {
	now := w.Now()
	hash := ann.Hash()
	willing, decline := w.willing(now, ann)
	w.heard.note(now, ann, willing, decline)
	if decline != nil {
		decline.AnnouncementHash = hash[:]
		return &marketv1.Answer{Answer: &marketv1.Answer_Decline{Decline: decline}}, nil
	}
	bid, err := w.bid(now, ann, willing)
	if err != nil {
		return nil, fmt.Errorf("bid: %w", err)
	}
	return &marketv1.Answer{Answer: &marketv1.Answer_Bid{Bid: bid}}, nil
}

// rest is how long a device that was bid goes to the end of the queue.
const rest = 2 * time.Second

// willing decides on a bid. A bid reserves nothing, so auctions that run at once
// would all be offered the same device and all but one would lose it: devices
// that were bid a moment ago are bid again only when no others will do.
func (w *Worker) willing(now time.Time, ann Announcement) (market.Willing, *marketv1.Decline) {
	a := ann.Message()
	if d := w.admit(now, ann); d != nil {
		return market.Willing{}, d
	}
	standing := w.standing()
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, decline := w.mayLend(peerOf(a.Requester)); decline != nil {
		return market.Willing{}, decline
	}
	maps.DeleteFunc(w.bidAt, func(_ string, at time.Time) bool { return now.Sub(at) >= rest })
	rested := standing
	rested.Free = slices.DeleteFunc(slices.Clone(standing.Free), func(d gpu.Device) bool { return !w.bidAt[d.UUID].IsZero() })
	willing, decline := market.MayBid(now, rested, a)
	if decline != nil {
		willing, decline = market.MayBid(now, standing, a)
	}
	for _, d := range willing.Devices {
		w.bidAt[d.UUID] = now
	}
	return willing, decline
}

// admit turns away requesters before any of the rules is asked.
func (w *Worker) admit(now time.Time, ann Announcement) *marketv1.Decline {
	from, m := peerOf(ann.Signer()), ann.Message()
	if err := job.CheckFresh(now, m.IssuedMs, m.ExpiresMs); err != nil {
		return &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_EXPIRED, Text: err.Error()}
	}
	switch {
	case !w.serves(from):
		return &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_POLICY, Text: "this worker's owner does not serve this requester"}
	case w.Standing.Record(from).Shunned(now):
		return &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_STANDING, Text: "awards of before were never taken up"}
	case market.StampBits(ann.Hash()) < w.Policy.StampBits:
		return &marketv1.Decline{
			Reason: marketv1.DeclineReason_DECLINE_REASON_STAMP, StampBits: uint32(w.Policy.StampBits),
			Text: fmt.Sprintf("wants a proof of work of %d bits", w.Policy.StampBits),
		}
	}
	return nil
}

func (w *Worker) bid(now time.Time, ann Announcement, willing market.Willing) (*marketv1.Signed, error) {
	record, err := w.Peers.PeerRecord()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the process instead
	hash := ann.Hash()
	percent, start := w.readiness(ann.Message())
	return statement.Sign(w.Key, statement.TypeBid, &marketv1.Bid{
		Version:          1,
		Network:          w.Network,
		Worker:           w.self,
		AnnouncementHash: hash[:],
		Devices:          w.describe(willing.Devices),
		Price:            willing.Price,
		Nonce:            nonce,
		IssuedMs:         now.UnixMilli(),
		ExpiresMs:        now.Add(BidLife).UnixMilli(),
		StartMs:          start.Milliseconds(),
		ImagePercent:     percent,
		MaxAbsentGraceMs: w.Policy.MaxAbsentGrace.Milliseconds(),
		YieldNoticeMs:    w.notice().Milliseconds(),
		Simulated:        anySimulated(willing.Devices),
		PeerRecord:       record,
		Region:           w.Policy.Region,
	})
}

// standing is what the rules of the market need to know of this worker.
func (w *Worker) standing() market.Worker {
	w.mu.Lock()
	draining := w.draining
	var freeAt time.Time
	for _, s := range w.tenancies {
		v := s.view()
		if !v.State.Ended() && (freeAt.IsZero() || v.LatestEnd.Before(freeAt)) {
			freeAt = v.LatestEnd
		}
	}
	w.mu.Unlock()
	return market.Worker{
		Network:        w.Network,
		Floor:          w.Policy.Floor,
		Machine:        w.Machine,
		DiskTaken:      w.diskTaken(),
		Devices:        w.Config.Devices.All(),
		Lent:           w.Config.Devices.Lent(),
		Free:           w.Config.Devices.Free(),
		FreeAt:         freeAt,
		BackAt:         w.Config.Devices.Back(),
		Draining:       draining,
		MaxDuration:    w.Policy.MaxDuration,
		MinDuration:    w.Policy.MinDuration,
		Region:         w.Policy.Region,
		MaxAbsentGrace: w.Policy.MaxAbsentGrace,
		Access:         w.Policy.Access,
		Images:         w.Policy.Images,
	}
}

// diskTaken is how much of the machine's disk a further task cannot have.
func (w *Worker) diskTaken() uint64 {
	if w.Room == nil {
		return 0
	}
	return w.Machine.GetDiskBytes() - min(w.Machine.GetDiskBytes(), w.Room())
}

// Offer signs a fresh offer.
func (w *Worker) Offer() (*marketv1.Signed, error) {
	record, err := w.Peers.PeerRecord()
	if err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	now := w.Now()
	all := w.Config.Devices.All()
	return statement.Sign(w.Key, statement.TypeOffer, &marketv1.Offer{
		Version:       1,
		Network:       w.Network,
		Worker:        w.self,
		Sequence:      w.nextOffer(now),
		IssuedMs:      now.UnixMilli(),
		ExpiresMs:     now.Add(OfferLife).UnixMilli(),
		Devices:       w.describe(all),
		Machine:       w.Machine,
		Simulated:     anySimulated(all),
		PeerRecord:    record,
		FreeDevices:   uint32(len(w.Config.Devices.Free())),
		MaxDurationMs: w.Policy.MaxDuration.Milliseconds(),
		MinDurationMs: w.Policy.MinDuration.Milliseconds(),
		Region:        w.Policy.Region,
	})
}

// Devices lists what this worker lends, as its offers name them.
func (w *Worker) Devices() []*marketv1.Device { return w.describe(w.Config.Devices.All()) }

// nextOffer numbers offers by the clock, so that a restart never goes back.
func (w *Worker) nextOffer(now time.Time) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offerSeq = max(w.offerSeq+1, uint64(now.UnixMicro()))
	return w.offerSeq
}

// describe names devices to strangers. Of why the owner withholds one it says nothing.
func (w *Worker) describe(devices []gpu.Device) []*marketv1.Device {
	var out []*marketv1.Device
	islands := gpu.Islands(devices)
	for i, d := range devices {
		tag := statement.GPUTag(w.Network, d.UUID)
		l := w.Config.Devices.Lending(d.UUID)
		m := &marketv1.Device{
			Tag: tag[:], Model: d.Model, VramBytes: d.VRAM, Price: max(d.Price, w.Policy.Floor), Simulated: d.Simulated,
			Capability: string(d.Capability), Driver: string(d.Driver), Cuda: string(d.CUDA), Mig: d.MIG.Profile,
			Island: uint32(islands[i]), Withheld: l.Withheld,
		}
		if l.Withheld && !l.Back.IsZero() {
			m.BackMs = l.Back.UnixMilli()
		}
		out = append(out, m)
	}
	return out
}

func anySimulated(devices []gpu.Device) bool {
	for _, d := range devices {
		if d.Simulated {
			return true
		}
	}
	return false
}

// peerOf is the peer with this key; the empty ID when the key is none.
func peerOf(key []byte) peer.ID {
	id, err := job.PeerID(key)
	if err != nil {
		return ""
	}
	return id
}
