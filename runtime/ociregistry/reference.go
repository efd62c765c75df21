package ociregistry

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
)

// ref is an image's name, taken apart as docker does.
type ref struct {
	host   string // of the registry, as a person writes it: "docker.io", "localhost:5000"
	repo   name.Repository
	tag    string // one of tag and digest is set
	digest string
}

// String is the whole name.
func (r ref) String() string {
	s := r.host + "/" + r.repo.RepositoryStr()
	if r.digest != "" {
		return s + "@" + r.digest
	}
	return s + ":" + r.tag
}

// version is the tag or the digest.
func (r ref) version() string {
	if r.digest != "" {
		return r.digest
	}
	return r.tag
}

// parse reads a name: short ones are Docker Hub's, no tag is "latest", and of tag and
// digest the digest counts.
func parse(text string) (ref, error) {
	named, err := reference.ParseDockerRef(text)
	if err != nil {
		return ref{}, fmt.Errorf("%w %q: %w", ErrReference, text, unprefixed(err))
	}
	r := ref{host: reference.Domain(named)}
	if tagged, ok := named.(reference.Tagged); ok {
		r.tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		r.digest = digested.Digest().String()
		if !strings.HasPrefix(r.digest, "sha256:") {
			return ref{}, fmt.Errorf("%w %q: the digest is no SHA-256", ErrReference, text)
		}
	}
	var options []name.Option
	if isLoopback(r.host) {
		options = append(options, name.Insecure)
	}
	registry, err := name.NewRegistry(r.host, options...) // knows docker.io's real host
	if err != nil {
		return ref{}, fmt.Errorf("%w %q: %w", ErrReference, text, err)
	}
	r.repo = registry.Repo(reference.Path(named))
	return r, nil
}

// unprefixed leaves out what our own sentence says already.
func unprefixed(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), reference.ErrReferenceInvalidFormat.Error()+": "); ok {
		return errors.New(text)
	}
	return err
}

// isLoopback says whether a host, with a port or without, is this machine. Only there may
// a registry do without TLS, as with docker.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
