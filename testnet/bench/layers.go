//go:build linux

package main

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/swarm"
)

// crowdSize is how many peers have the layer that is fetched from several.
const crowdSize = 3

// bound is what a peer with a bound on its uploads gives, in MiB/s: less than a third of what the
// receiver takes.
const bound = 80

// join makes more peers that have the file, with and without a bound. All of them are in this process: what they share
// out is lines, of which loopback has enough, and not work.
func (l *link) join(ctx context.Context) error {
	l.peers = []*p2p.Host{l.from}
	for len(l.peers) < crowdSize {
		h, _, err := newHost()
		if err != nil {
			return err
		}
		l.peers = append(l.peers, h)
		if err := l.serve(ctx, h, nil); err != nil {
			return err
		}
	}
	for range crowdSize {
		h, _, err := newHost()
		if err != nil {
			return err
		}
		l.bound = append(l.bound, h)
		if err := l.serve(ctx, h, blob.NewMeter(bound<<20)); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) serve(ctx context.Context, h *p2p.Host, meter *blob.Meter) error {
	blob.Serve(h, l.store, func(peer.ID, []byte, string) bool { return true }, meter)
	_, err := l.to.ConnectAddr(ctx, h.Addrs()[0])
	return err
}

// layer fetches the file as a layer from peers, with what the bare stream's
// receiver does.
func (l *link) layer(peers []*p2p.Host) func(context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		s := swarm.New(swarm.Config{
			Find: func(context.Context, string, int) iter.Seq[peer.ID] {
				return func(yield func(peer.ID) bool) {
					for _, h := range peers {
						if !yield(h.ID()) {
							return
						}
					}
				}
			},
			Open: func(id peer.ID) swarm.Peer { return blob.Source(l.to, id, nil) },
			Log:  slog.New(slog.DiscardHandler),
		})
		began := time.Now()
		image := s.Image("image")
		defer image.Close()
		body, err := image.Layer(ctx, l.digest, bulkMiB<<20, 0)
		if err != nil {
			return 0, err
		}
		defer body.Close()
		return l.receive(began, body)
	}
}
