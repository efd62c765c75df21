package ociregistry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Errors that a caller decides on.
var (
	// ErrReference: the text names no image.
	ErrReference = errors.New("not an image reference")
	// ErrNotFound: the registry has no such image.
	ErrNotFound = errors.New("no such image")
	// ErrUnreachable: the registry does not answer.
	ErrUnreachable = errors.New("registry cannot be reached")
	// ErrSchema1: the image is of a form that docker gave up in 2017.
	ErrSchema1 = errors.New("the image is of Docker's schema 1, which nothing runs any more: build or push it anew")
	// ErrDigest: what the registry sends is not what its digest says.
	ErrDigest = errors.New("content does not have its digest")
)

// DeniedError is a registry that wants credentials, or other ones.
type DeniedError struct {
	Host  string // as docker login takes it
	Image string
	// Keychain is why docker's credentials for the host could not be read, when that was so.
	Keychain error
}

// Error implements error.
func (e *DeniedError) Error() string {
	text := fmt.Sprintf("registry %s denies access to %s, or has no such image", e.Host, e.Image)
	if e.Keychain != nil {
		text += fmt.Sprintf(" (docker's credentials cannot be read: %v)", e.Keychain)
	}
	return text
}

// explain says what it was that a registry refused, or why there was no answer.
func (c *client) explain(err error) error {
	var refused *transport.Error
	if !errors.As(err, &refused) {
		return c.explainNetwork(err)
	}
	switch refused.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &DeniedError{Host: c.ref.host, Image: c.ref.String(), Keychain: c.keychain}
	case http.StatusNotFound:
		return fmt.Errorf("%w: registry %s does not have %s", ErrNotFound, c.ref.host, c.ref)
	case http.StatusTooManyRequests:
		return fmt.Errorf("registry %s allows no more downloads for now: wait, or log in (docker login)", c.ref.host)
	}
	return fmt.Errorf("registry %s answered %d %s%s", c.ref.host, refused.StatusCode, http.StatusText(refused.StatusCode), words(refused))
}

// words are what a registry says itself. They are a stranger's: quoted and short.
func words(refused *transport.Error) string {
	if len(refused.Errors) == 0 || refused.Errors[0].Message == "" {
		return ""
	}
	return fmt.Sprintf(": %.200q", refused.Errors[0].Message)
}

func (c *client) explainNetwork(err error) error {
	var asked *url.Error
	if !errors.As(err, &asked) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("registry %s: %w", c.ref.host, err)
	}
	host := c.ref.host
	if u, err := url.Parse(asked.URL); err == nil { // where the registry sent us, perhaps
		host = u.Host
	}
	if isCut(err) {
		return fmt.Errorf("%s cut the connection: %w", host, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, host, asked.Err)
}

func isCut(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// passing says whether asking a registry once more may help that was not met before: the
// connection was there and broke, or it is overtaxed.
func passing(err error) bool {
	var refused *transport.Error
	var op *net.OpError
	switch {
	case lasting(err):
		return false
	case errors.As(err, &refused):
		return true
	case errors.As(err, &op):
		return op.Op != "dial" // nobody there, or nobody of that name
	}
	return isCut(err) || errors.Is(err, errStalled)
}

// lasting says whether an error would come again, from a registry that was there a moment ago.
func lasting(err error) bool {
	var refused *transport.Error
	if errors.As(err, &refused) {
		return refused.StatusCode < http.StatusInternalServerError
	}
	return errors.Is(err, errPlain) || errors.Is(err, errRange)
}
