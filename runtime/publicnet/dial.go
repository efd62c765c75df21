package publicnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrNotPublic: the address, or what a name leads to, is not on the public internet.
var ErrNotPublic = errors.New("not on the public internet")

// Bounds on what a server may make us wait for.
const (
	dialTimeout   = 10 * time.Second
	answerTimeout = 30 * time.Second
	maxHeader     = 64 << 10 // bytes
	maxRedirects  = 5
)

// Option changes what Transport reaches.
type Option func(*net.Dialer)

// AnyAddress lets private addresses be reached too. It is for tests, whose servers are on
// loopback: nothing that a node does for a stranger may use it.
func AnyAddress() Option { return func(d *net.Dialer) { d.ControlContext = nil } }

// Transport is the way to servers that a stranger names. It looks at each address after its
// name is resolved, right before it connects, so that neither a name, a redirect nor a second
// answer of a name server leads into the host's own networks: ErrNotPublic. It uses no proxy,
// which would resolve names where we do not see it.
func Transport(options ...Option) *http.Transport {
	d := &net.Dialer{Timeout: dialTimeout, ControlContext: onlyPublic}
	for _, o := range options {
		o(d)
	}
	return &http.Transport{
		DialContext:            d.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  answerTimeout,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // a digest is that of the bytes on the wire, and nothing inflates
	}
}

// CheckRedirect bounds redirects; it is for an http.Client over Transport.
func CheckRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("redirected more than %d times", maxRedirects)
	}
	return nil
}

func onlyPublic(_ context.Context, network, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s %q", ErrNotPublic, network, address)
	}
	if !Has(a.Addr()) {
		return fmt.Errorf("%w: %s", ErrNotPublic, a.Addr())
	}
	return nil
}
