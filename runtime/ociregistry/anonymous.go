package ociregistry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// PublicImage reads blobs of an image that a registry gives to everybody. It never uses
// this machine's credentials. Close it. Safe for concurrent use.
type PublicImage struct {
	ref  ref
	base *http.Transport

	mu sync.Mutex
	c  *client // nil until it is needed
}

// Anonymous makes a PublicImage, which reaches the registry, and wherever that sends it,
// through a transport of its own. Nothing is asked yet. ErrReference.
func Anonymous(name string, base *http.Transport) (*PublicImage, error) {
	r, err := parse(name)
	if err != nil {
		return nil, err
	}
	return &PublicImage{ref: r, base: base}, nil
}

// Blob reads a blob, index or manifest from an offset on. What it gives is not checked.
// ErrNotFound, ErrUnreachable, a DeniedError.
func (p *PublicImage) Blob(ctx context.Context, digest string, offset int64) (io.ReadCloser, error) {
	c, err := p.client(ctx)
	if err != nil {
		return nil, err
	}
	body, err := c.rest(ctx, "blobs/"+digest, offset)
	if isNotFound(err) { // registries keep documents apart from other blobs
		body, err = c.rest(ctx, "manifests/"+digest, offset)
	}
	if err != nil {
		return nil, c.explain(err)
	}
	return body, nil
}

func (p *PublicImage) client(ctx context.Context) (*client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.c != nil {
		return p.c, nil
	}
	c := &client{ref: p.ref, base: p.base, anonymous: true}
	if err := c.login(ctx, authn.Anonymous); err != nil {
		return nil, err
	}
	p.c = c
	return c, nil
}

// Close drops the connections that are not in use.
func (p *PublicImage) Close() error {
	p.base.CloseIdleConnections()
	return nil
}

func isNotFound(err error) bool {
	var refused *transport.Error
	return errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
}
