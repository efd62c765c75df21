package ociregistry

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rigmesh/rigmesh/runtime/publicnet"
)

// OnlyExcept reaches the public internet and one other host, as if that were on it.
func OnlyExcept(host string) *http.Transport {
	t, free := publicnet.Transport(), publicnet.Transport(publicnet.AnyAddress())
	guarded := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == host {
			return free.DialContext(ctx, network, address)
		}
		return guarded(ctx, network, address)
	}
	return t
}

// Hurry makes retries come at once.
func Hurry(t *testing.T) {
	was := delays
	delays = make([]time.Duration, len(was))
	t.Cleanup(func() { delays = was })
}

// Attempts is how often in a row something is tried that brings nothing.
func Attempts() int { return len(delays) + 1 }

// StallAfter sets how long a registry may be silent in the middle of an answer.
func StallAfter(t *testing.T, d time.Duration) {
	was := stallTimeout
	stallTimeout = d
	t.Cleanup(func() { stallTimeout = was })
}

// Name takes a reference apart and writes it whole, with the host that is really asked.
func Name(text string) (whole, host string, insecure bool, err error) {
	r, err := parse(text)
	if err != nil {
		return "", "", false, err
	}
	return r.String(), r.repo.RegistryStr(), r.repo.Scheme() == "http", nil
}
