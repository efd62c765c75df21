package node

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/requester"
	"github.com/rigmesh/rigmesh/job/statement"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

const (
	// maxOffers bounds the local index.
	maxOffers = 4096
	// keepEvery is how often the index is written down, and refreshed while somebody
	// has use for it.
	keepEvery = time.Minute
	// interest is how long after the last question the index is kept fresh.
	interest = 30 * time.Minute
	// maxRefreshed bounds how many offers are fetched anew in one go.
	maxRefreshed = 32
	// firstLook bounds the first look around of a node that only rents, and soonAgain is the
	// pause after it: the first look is over with the first worker that it meets. The pauses
	// double until they are keepEvery.
	firstLook = 30 * time.Second
	soonAgain = 4 * time.Second
)

// offers is the local index: the newest verified offer of each worker seen. It is
// kept across restarts for as long as its offers hold.
type offers struct {
	n    *Node
	file string

	mu      sync.Mutex
	of      map[peer.ID]seen
	changed bool
	asked   time.Time // when somebody last had use for it
}

// seen is an offer with the bytes its worker signed.
type seen struct {
	requester.Offer
	signed *marketv1.Signed
}

func newOffers(n *Node) *offers {
	return &offers{n: n, file: n.path("offers"), of: map[peer.ID]seen{}}
}

// known lists the offers that have not expired, cheapest first.
func (o *offers) known() []requester.Offer {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.n.now().UnixMilli()
	var out []requester.Offer
	for id, of := range o.of {
		if of.Offer.Offer.ExpiresMs < now {
			delete(o.of, id)
			continue
		}
		out = append(out, of.Offer)
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
	return o.take(from, signed, o.n.now())
}

func (o *offers) take(from peer.ID, signed *marketv1.Signed, at time.Time) (requester.Offer, error) {
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
	if have, ok := o.of[from]; ok && have.Offer.Offer.Sequence >= m.Sequence {
		return have.Offer, nil
	}
	if len(o.of) >= maxOffers {
		for id := range o.of { // any one: the index is a cache
			delete(o.of, id)
			break
		}
	}
	of := requester.Offer{Worker: from, Offer: m, Seen: at}
	o.of[from], o.changed = seen{of, signed}, true
	return of, nil
}

// recall reads the offers of before that still hold, verifying each again.
func (o *offers) recall() {
	b, err := os.ReadFile(o.file)
	if err != nil {
		return // the first run
	}
	for r := bufio.NewReader(bytes.NewReader(b)); ; {
		signed := &marketv1.Signed{}
		if protodelim.UnmarshalFrom(r, signed) != nil {
			return // the end, or a file that is not ours: the network has better ones
		}
		if v, err := statement.OpenOffer(signed); err == nil {
			if id, err := job.PeerID(v.Signer()); err == nil {
				_, _ = o.take(id, signed, time.UnixMilli(v.Message().IssuedMs)) // expired ones stay out
			}
		}
	}
}

// save writes the index down when it has changed.
func (o *offers) save() {
	o.mu.Lock()
	var b bytes.Buffer
	for _, of := range o.of {
		_, _ = protodelim.MarshalTo(&b, of.signed) // a buffer takes everything
	}
	changed := o.changed
	o.changed = false
	o.mu.Unlock()
	if !changed {
		return
	}
	if err := journal.WriteFile(o.file, b.Bytes()); err != nil {
		o.n.log.Debug("write the index of offers", "err", err)
	}
}

// use notes that somebody asked.
func (o *offers) use() {
	o.mu.Lock()
	o.asked = o.n.now()
	o.mu.Unlock()
}

func (o *offers) wanted() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n.now().Sub(o.asked) < interest
}

// keep writes the index down now and then, and keeps it fresh while somebody has use
// for it: so a question is answered at once, by offers of minutes ago at most. A node
// that only rents looks around when it starts.
func (o *offers) keep(ctx context.Context) error {
	defer o.save()
	if o.n.worker == nil {
		o.use()
		o.look(ctx, firstLook)
	}
	pause := soonAgain
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if o.wanted() {
			o.refresh(ctx)
		}
		o.save()
		pause = min(2*pause, keepEvery)
		timer.Reset(pause)
	}
}

// refresh fetches the offers that would expire before the next time, the cheapest
// first, and looks for more when few are left.
func (o *offers) refresh(ctx context.Context) {
	until := o.n.now().Add(2 * keepEvery).UnixMilli()
	known := o.known()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	due := 0
	for _, of := range known {
		if of.Offer.ExpiresMs > until || due == maxRefreshed {
			continue
		}
		due++
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := o.fetch(ctx, of.Worker); err != nil {
				o.n.log.Debug("refresh an offer", "peer", of.Worker, "err", err)
			}
		})
	}
	wg.Wait()
	if len(known)-due < maxRefreshed {
		o.look(ctx, keepEvery/2)
	}
}

// look searches the network for any offers; what it finds is in the index.
func (o *offers) look(ctx context.Context, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for range o.search(ctx, &marketv1.Requirement{Count: 1, AllowSimulated: true}) {
		continue // the search fills the index
	}
}
