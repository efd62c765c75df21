package p2p

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
)

const (
	// punchPause comes before the first try of ours, and twice as long before each next
	// one: two minutes in all.
	punchPause = 500 * time.Millisecond
	punchTries = 8
)

// puncher tries again to get around relays. libp2p punches a connection once, when it is
// new, and by then a young node, or its peer, may not know yet where others see it.
type puncher struct {
	host    host.Host
	service directer
	log     *slog.Logger
	news    chan struct{} // others see us, and nobody did before
}

// directer gets around a relay: libp2p's holepunch.Service.
type directer interface {
	DirectConnect(peer.ID) error
}

func newPuncher(log *slog.Logger) *puncher {
	return &puncher{log: log, news: make(chan struct{}, 1)}
}

// capture is an option of libp2p's service by which we learn which one the host made.
func (p *puncher) capture(s *holepunch.Service) error {
	p.service = s
	return nil
}

// seen says that we know now where others see us.
func (p *puncher) seen() { nudge(p.news) }

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watch follows a host's connections until stop is called.
func (p *puncher) watch(h host.Host) (stop func(), err error) {
	changed, err := h.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.Name("punch"), eventbus.BufSize(256))
	if err != nil {
		return nil, err
	}
	p.host = h
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.follow(ctx, changed.Out(), &wg) })
	return func() {
		cancel()
		wg.Wait()
		_ = changed.Close() // nobody is left to read from it
	}, nil
}

// tries are the peers that are being tried, one goroutine for each, and how to have it
// try at once.
type tries struct {
	p     *puncher
	wg    *sync.WaitGroup
	wake  map[peer.ID]chan struct{}
	ended chan peer.ID
}

// follow has every peer tried to which only a relay leads.
func (p *puncher) follow(ctx context.Context, changed <-chan any, wg *sync.WaitGroup) {
	t := tries{p: p, wg: wg, wake: map[peer.ID]chan struct{}{}, ended: make(chan peer.ID)}
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-t.ended:
			again := len(t.wake[id]) > 0 // it came back meanwhile
			delete(t.wake, id)
			if again {
				t.begin(ctx, id)
			}
		case <-p.news:
			for _, id := range p.host.Network().Peers() {
				t.begin(ctx, id)
			}
		case e, ok := <-changed:
			if !ok {
				return
			}
			t.begin(ctx, e.(event.EvtPeerConnectednessChanged).Peer)
		}
	}
}

// begin tries a peer, at once when it is being tried already.
func (t *tries) begin(ctx context.Context, id peer.ID) {
	if wake, ok := t.wake[id]; ok {
		nudge(wake)
		return
	}
	if !t.p.ours(id) {
		return
	}
	wake := make(chan struct{}, 1)
	t.wake[id] = wake
	t.wg.Go(func() {
		t.p.persist(ctx, id, wake)
		select {
		case t.ended <- id:
		case <-ctx.Done():
		}
	})
}

// ours says whether only a relay leads to a peer, and we are the side that punches: the
// one that was dialled. The other refuses to be asked.
func (p *puncher) ours(id peer.ID) bool {
	n := p.host.Network()
	return n.Connectedness(id) == network.Limited &&
		slices.ContainsFunc(n.ConnsToPeer(id), func(c network.Conn) bool { return c.Stat().Direction == network.DirInbound })
}

// persist tries a peer until no relay is needed any more, or it is gone, or enough was
// tried. wake cuts a pause short.
func (p *puncher) persist(ctx context.Context, id peer.ID, wake <-chan struct{}) {
	pause := punchPause
	for range punchTries {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause *= 2
		case <-wake:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil || !p.ours(id) {
			return
		}
		if p.ready() {
			p.try(ctx, id)
		}
	}
}

// try does not outlast ctx, though libp2p's service does until its host is closed.
func (p *puncher) try(ctx context.Context, id peer.ID) {
	ended := make(chan error, 1)
	go func() { ended <- p.service.DirectConnect(id) }()
	select {
	case err := <-ended:
		p.log.Debug("tried to get around a relay", "peer", id, "err", err)
	case <-ctx.Done():
	}
}

// ready says whether libp2p's service has begun: it waits for a public address first, and
// whoever calls it sooner waits, too, for ever if need be.
func (p *puncher) ready() bool {
	return slices.Contains(p.host.Mux().Protocols(), holepunch.Protocol)
}
