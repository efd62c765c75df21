//go:build linux

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"

	"github.com/rigmesh/rigmesh/p2p"
)

// newHost is a host in this process, on loopback and TCP.
func newHost() (*p2p.Host, ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	h, err := p2p.New(p2p.Config{
		Key: key, Network: p2p.DefaultNetwork, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Log: slog.New(slog.DiscardHandler),
	})
	return h, key, err
}

// connectMany connects n hosts to an address. They let go when release is called.
func connectMany(ctx context.Context, address string, n int) (release func(), err error) {
	var hosts []*p2p.Host
	release = func() {
		for _, h := range hosts {
			_ = h.Close()
		}
	}
	for range n {
		h, _, err := newHost()
		if err == nil {
			hosts = append(hosts, h)
			_, err = h.ConnectAddr(ctx, address)
		}
		if err != nil {
			release()
			return nil, err
		}
	}
	if len(hosts) == 0 {
		return nil, errors.New("no hosts")
	}
	return release, nil
}
