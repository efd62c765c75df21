package node

import (
	"context"
	"math/rand/v2"
	"slices"
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
	// maxFound is how many providers of one key are looked at.
	maxFound = 64
	// fetchTimeout bounds fetching one worker's offer.
	fetchTimeout = 3 * time.Second
)

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
		fitting, below := classes(need)
		for _, class := range fitting {
			if s.findClass(class); s.sent > 0 {
				return
			}
		}
		for _, class := range below {
			s.findClass(class)
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

// classes are where workers for a need stand, the narrowest first: those of the models
// it names, and its tier. Below are the tiers under it, in which the same workers stand
// too: whoever holds one key of the DHT hides nobody; and beside them those that do not
// fit, who can say what they lack.
func classes(need *marketv1.Requirement) (fitting, below []string) {
	for _, m := range need.GetModels() {
		fitting = append(fitting, "model/"+m)
	}
	tiers := job.Tiers()
	own := slices.Index(tiers, job.TierFor(need))
	fitting = append(fitting, "vram/"+tiers[own])
	for i := own - 1; i >= 0; i-- {
		below = append(below, "vram/"+tiers[i])
	}
	return fitting, below
}

// findClass looks for workers of one class, key by key, until there are enough.
func (s *search) findClass(class string) {
	for _, key := range s.o.n.spread().Search(class, rand.Uint64()) {
		s.find(key)
		if s.sent >= maxFound || s.ctx.Err() != nil {
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
	o.use()
	if wait > 0 {
		o.look(ctx, wait)
	}
	var out []*controlv1.SeenOffer
	for _, of := range o.known() {
		out = append(out, &controlv1.SeenOffer{PeerId: of.Worker.String(), Offer: of.Offer, SeenMs: of.Seen.UnixMilli()})
	}
	return out
}
