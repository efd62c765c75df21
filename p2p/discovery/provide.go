package discovery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

const (
	provideTimeout = time.Minute
	aloneRetry     = 500 * time.Millisecond // only looks whether somebody is there
	failedRetry    = 15 * time.Second
	movedPause     = 2 * time.Second // addresses rarely change alone
	// With few nodes known a record may have landed far from where others look,
	// so it is renewed early.
	smallTable     = 8
	smallRepublish = time.Minute
)

// Provide says that this node provides a key, and Run keeps saying so until
// Withdraw. An error, such as ErrAlone, concerns this first time only.
func (d *Discovery) Provide(ctx context.Context, key string) error {
	d.mu.Lock()
	if _, known := d.keys[key]; !known {
		d.keys[key] = time.Now().Add(failedRetry) // in case this attempt is cut off
	}
	d.mu.Unlock()
	return d.provide(ctx, key)
}

// Withdraw stops renewing a key. What others hold expires within Validity.
func (d *Discovery) Withdraw(key string) {
	d.mu.Lock()
	delete(d.keys, key)
	d.mu.Unlock()
}

func (d *Discovery) provide(ctx context.Context, key string) error {
	if d.Known() == 0 {
		d.schedule(key, aloneRetry)
		return fmt.Errorf("provide %s: %w", key, ErrAlone)
	}
	ctx, cancel := context.WithTimeout(ctx, provideTimeout)
	defer cancel()
	if err := d.dht.Provide(ctx, d.cid(key), true); err != nil {
		d.schedule(key, failedRetry)
		return fmt.Errorf("provide %s: %w", key, err)
	}
	next := Republish
	if d.Known() < smallTable {
		next = smallRepublish
	}
	d.schedule(key, next-rand.N(next/10)) // not everybody at once
	return nil
}

func (d *Discovery) schedule(key string, in time.Duration) {
	d.mu.Lock()
	if _, still := d.keys[key]; still {
		d.keys[key] = time.Now().Add(in)
	}
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// Run keeps the routing table fresh and renews what Provide said, until ctx ends.
func (d *Discovery) Run(ctx context.Context) error {
	if err := d.dht.Bootstrap(ctx); err != nil {
		return fmt.Errorf("refresh routing table: %w", err)
	}
	moved, err := d.h.Libp2p().EventBus().Subscribe(new(event.EvtLocalAddressesUpdated), eventbus.Name("discovery"))
	if err != nil {
		return fmt.Errorf("watch our own addresses: %w", err)
	}
	defer moved.Close()
	for {
		key, at := d.nextDue()
		if key != "" && !at.After(time.Now()) {
			if err := d.provide(ctx, key); err != nil {
				d.log.Debug("key not provided", "key", key, "err", err)
			}
		} else if !d.wait(ctx, key, at, moved.Out()) {
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (d *Discovery) nextDue() (key string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, t := range d.keys {
		if key == "" || t.Before(at) {
			key, at = k, t
		}
	}
	return key, at
}

func (d *Discovery) wait(ctx context.Context, key string, at time.Time, moved <-chan any) bool {
	in := time.Hour
	if key != "" {
		in = time.Until(at)
	}
	timer := time.NewTimer(in)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-d.changed:
	case <-moved:
		d.renewSoon()
	}
	return true
}

// renewSoon has everything provided again: whoever looks a key up is told addresses
// that were ours when we provided it, and a node behind a NAT has others once it has
// found relays.
func (d *Discovery) renewSoon() {
	d.mu.Lock()
	defer d.mu.Unlock()
	soon := time.Now().Add(movedPause)
	for key, at := range d.keys {
		if at.After(soon) {
			d.keys[key] = soon
		}
	}
}

// Advertise provides a key once, as soon as that is possible. It is libp2p's
// discovery interface, through which gossip finds members of a topic; gossip
// does the renewing.
func (d *Discovery) Advertise(ctx context.Context, ns string, _ ...discovery.Option) (time.Duration, error) {
	for {
		err := d.provide(ctx, ns)
		if err == nil {
			return Republish, nil
		}
		if ctx.Err() != nil {
			return 0, err
		}
		select {
		case <-time.After(aloneRetry):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// FindPeers is Find for libp2p's discovery interface.
func (d *Discovery) FindPeers(ctx context.Context, ns string, opts ...discovery.Option) (<-chan peer.AddrInfo, error) {
	var o discovery.Options
	if err := o.Apply(opts...); err != nil {
		return nil, err
	}
	out := make(chan peer.AddrInfo)
	go func() {
		defer close(out)
		for p := range d.Find(ctx, ns, o.Limit) {
			select {
			case out <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}
