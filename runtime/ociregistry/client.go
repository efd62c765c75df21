package ociregistry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/rigmesh/rigmesh/runtime/publicnet"
)

// headerTimeout is how long a registry may take to begin an answer.
const headerTimeout = 30 * time.Second

var (
	// stallTimeout is how long it may be silent in the middle of one.
	stallTimeout = time.Minute
	// delays are the waits before asking once more. They start anew when bytes arrive.
	delays = []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
)

var (
	errStalled = errors.New("nothing came for a minute")
	errPlain   = errors.New("it does not encrypt, which is allowed on this machine alone")
)

// client asks one registry about one image.
type client struct {
	ref      ref
	http     *http.Client
	base     *http.Transport
	keychain error // why docker's credentials could not be read
	// anonymous says that it asks as anybody could.
	anonymous bool
}

// dial makes a client that uses docker's credentials.
func dial(ctx context.Context, r ref) (*client, error) {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.ResponseHeaderTimeout = headerTimeout
	base.DisableCompression = true // a digest is that of the bytes on the wire
	c := &client{ref: r, base: base}
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, r.repo)
	if err != nil { // as docker does: a public image needs none
		auth, c.keychain = authn.Anonymous, err
	}
	c.anonymous = auth == authn.Anonymous
	return c, c.login(ctx, auth)
}

// login finds out how a registry wants to be asked, and logs in to it where it wants that.
func (c *client) login(ctx context.Context, auth authn.Authenticator) error {
	err := c.persist(ctx, func() error {
		t, err := transport.NewWithContext(ctx, c.ref.repo.Registry, auth, encrypted{c.base}, []string{c.ref.repo.Scope(transport.PullScope)})
		c.http = &http.Client{Transport: t, CheckRedirect: publicnet.CheckRedirect}
		return err
	})
	if err != nil {
		c.base.CloseIdleConnections()
		return c.explain(err)
	}
	return nil
}

func (c *client) close() { c.base.CloseIdleConnections() }

// encrypted refuses to speak plainly to other machines, wherever a registry sends us.
type encrypted struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (e encrypted) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !isLoopback(req.URL.Host) {
		return nil, errPlain
	}
	return e.RoundTripper.RoundTrip(req)
}

// persist does something until it is done, or does not fail in passing only.
func (c *client) persist(ctx context.Context, do func() error) error {
	for attempt := 0; ; attempt++ {
		err := do()
		if err == nil || !passing(err) || attempt == len(delays) {
			return err
		}
		if err := wait(ctx, delays[attempt]); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// get asks once for something of the image: "manifests/latest", "blobs/sha256:…". Close
// the body.
func (c *client) get(ctx context.Context, what string, header http.Header) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	address := "https://" + c.ref.repo.RegistryStr() + "/v2/" + c.ref.repo.RepositoryStr() + "/" + what
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	req.Header = header
	resp, err := c.http.Do(req)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &body{resp.Body, cancel, func() error { return context.Cause(ctx) }}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// body is an answer that must not stop half-way for long.
type body struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
	cause  func() error // of the end of the request
}

func (b *body) Read(p []byte) (int, error) {
	t := time.AfterFunc(stallTimeout, func() { b.cancel(errStalled) })
	defer t.Stop()
	n, err := b.ReadCloser.Read(p)
	if cause := b.cause(); err != nil && err != io.EOF && cause != nil {
		err = cause
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
