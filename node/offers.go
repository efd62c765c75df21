package node

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/market"
	"github.com/rigmesh/rigmesh/job/requester"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/p2p/stream"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	// maxOffers bounds the local index.
	maxOffers = 4096
	// maxFound is how many providers of one key are looked at.
	maxFound = 64
	// fetchTimeout bounds fetching one worker's offer.
	fetchTimeout = 3 * time.Second
)

// rendezvous is the key under which workers of a tier are found. The last part
// is a shard, so that a key of many workers can be split.
func rendezvous(tier string) string { return "vram/" + tier + "/0" }

// offers is the local index: the newest verified offer of each worker seen.
type offers struct {
	n  *Node
	mu sync.Mutex
	of map[peer.ID]requester.Offer
}

func newOffers(n *Node) *offers { return &offers{n: n, of: map[peer.ID]requester.Offer{}} }

// known lists the offers that have not expired, cheapest first.
func (o *offers) known() []requester.Offer {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.n.now().UnixMilli()
	var out []requester.Offer
	for id, of := range o.of {
		if of.Offer.ExpiresMs < now {
			delete(o.of, id)
			continue
		}
		out = append(out, of)
	}
	sort.Slice(out, func(a, b int) bool { return cheapest(out[a].Offer) < cheapest(out[b].Offer) })
	return out
}

func cheapest(o *marketv1.Offer) uint64 {
	least := ^uint64(0)
	for _, d := range o.Devices {
		least = min(least, d.Price)
	}
	return least
}

// add takes a signed offer in, when it is the worker's own and newer than the one known.
func (o *offers) add(from peer.ID, signed *marketv1.Signed) (requester.Offer, error) {
	v, err := statement.OpenOffer(signed)
	if err != nil {
		return requester.Offer{}, err
	}
	m := v.Message()
	if err := job.CheckOffer(m); err != nil {
		return requester.Offer{}, err
	}
	if id, err := job.PeerID(v.Signer()); err != nil || id != from {
		return requester.Offer{}, fmt.Errorf("offer of %s came from %s", id, from)
	}
	if m.Network != o.n.cfg.Network {
		return requester.Offer{}, fmt.Errorf("offer is for network %q", m.Network)
	}
	if err := job.CheckFresh(o.n.now(), m.IssuedMs, m.ExpiresMs); err != nil {
		return requester.Offer{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if have, ok := o.of[from]; ok && have.Offer.Sequence >= m.Sequence {
		return have, nil
	}
	if len(o.of) >= maxOffers {
		for id := range o.of { // any one: the index is a cache
			delete(o.of, id)
			break
		}
	}
	of := requester.Offer{Worker: from, Offer: m, Seen: o.n.now()}
	o.of[from] = of
	return of, nil
}

// fetch asks a worker for its offer.
func (o *offers) fetch(ctx context.Context, id peer.ID) (requester.Offer, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var resp marketv1.OfferResponse
	if err := stream.Call(ctx, o.n.host, id, "offer", &marketv1.OfferRequest{}, &resp); err != nil {
		return requester.Offer{}, err
	}
	return o.add(id, resp.Offer)
}

// search sends every offer that could serve a need: the index first, then what
// the DHT leads to. Where nobody serves the tier that is needed, every worker is
// asked, so that they say why not. The channel closes when the search is over; with
// nothing found it goes on until ctx ends.
func (o *offers) search(ctx context.Context, need *marketv1.Requirement) <-chan requester.Offer {
	out := make(chan requester.Offer)
	go func() {
		defer close(out)
		s := &search{o: o, ctx: ctx, out: out, seen: map[peer.ID]bool{o.n.host.ID(): true}}
		s.ourselves()
		for _, of := range o.known() {
			if serves(of.Offer, need) {
				s.send(of)
			}
		}
		s.findAll(need)
	}()
	return out
}

// serves says whether an offer could serve a need on paper.
func serves(o *marketv1.Offer, need *marketv1.Requirement) bool {
	want := market.Requirement(need)
	n := 0
	for _, d := range o.Devices {
		if want.Fits(market.Device(d)) {
			n++
		}
	}
	return n >= int(need.GetCount())
}

// search is one look for offers.
type search struct {
	o    *offers
	ctx  context.Context // of this search
	out  chan<- requester.Offer
	mu   sync.Mutex
	seen map[peer.ID]bool
	sent int
}

func (s *search) send(of requester.Offer) {
	s.mu.Lock()
	s.seen[of.Worker] = true
	s.sent++
	s.mu.Unlock()
	select {
	case s.out <- of:
	case <-s.ctx.Done():
	}
}

// ourselves sends this node's own offer: a node may rent its own devices.
func (s *search) ourselves() {
	if s.o.n.worker == nil {
		return
	}
	signed, err := s.o.n.worker.Offer()
	if err != nil {
		return
	}
	if v, err := statement.OpenOffer(signed); err == nil {
		s.send(requester.Offer{Worker: s.o.n.host.ID(), Offer: v.Message(), Seen: s.o.n.now()})
	}
}

// lookAgain is the pause between searches while nothing was found: a node that
// has just started, or was just told where to begin, meets others any moment.
const lookAgain = 200 * time.Millisecond

// findAll looks in the DHT until somebody was found, or ctx ends.
func (s *search) findAll(need *marketv1.Requirement) {
	pause := time.NewTicker(lookAgain)
	defer pause.Stop()
	for {
		s.find(rendezvous(job.TierFor(need)))
		if s.sent == 0 {
			s.find(rendezvous(job.Tiers()[0]))
		}
		if s.sent > 0 {
			return
		}
		select {
		case <-pause.C:
			s.seen = map[peer.ID]bool{s.o.n.host.ID(): true} // who did not answer is asked again
		case <-s.ctx.Done():
			return
		}
	}
}

// find fetches the offers of a key's providers, several at a time.
func (s *search) find(key string) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, 8)
	for p := range s.o.n.discovery.Find(s.ctx, key, maxFound) {
		s.mu.Lock()
		skip := s.seen[p.ID]
		s.seen[p.ID] = true
		s.mu.Unlock()
		if skip {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if of, err := s.o.fetch(s.ctx, p.ID); err == nil {
				s.send(of)
			}
		})
	}
}

// Offers lists the offers at hand, after looking for more for at most wait.
func (o *offers) Offers(ctx context.Context, wait time.Duration) []*controlv1.SeenOffer {
	if wait > 0 {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		for range o.search(ctx, &marketv1.Requirement{Count: 1, AllowSimulated: true}) {
			continue // the search fills the index
		}
	}
	var out []*controlv1.SeenOffer
	for _, of := range o.known() {
		out = append(out, &controlv1.SeenOffer{PeerId: of.Worker.String(), Offer: of.Offer, SeenMs: of.Seen.UnixMilli()})
	}
	return out
}
