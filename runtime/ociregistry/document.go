package ociregistry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rigmesh/rigmesh/runtime/oci"
)

// root reads what the image's name leads to: an index or a manifest.
func (c *client) root(ctx context.Context, r ref) (ocispec.Descriptor, []byte, error) {
	content, header, err := c.whole(ctx, "manifests/"+r.version())
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	mediaType, err := typeOf(content, header.Get("Content-Type"))
	if err != nil {
		return ocispec.Descriptor{}, nil, fmt.Errorf("%s: %w", r, err)
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	want := cmp.Or(r.digest, header.Get("Docker-Content-Digest"))
	if strings.HasPrefix(want, "sha256:") && want != d.Digest.String() {
		return d, nil, fmt.Errorf("%w: registry %s sends %s as %s", ErrDigest, r.host, d.Digest, want)
	}
	return d, content, nil
}

// typeOf is the media type of an index or manifest. It says so itself, or the registry
// does; both must agree.
func typeOf(content []byte, contentType string) (string, error) {
	var document struct {
		SchemaVersion int    `json:"schemaVersion"`
		MediaType     string `json:"mediaType"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		return "", fmt.Errorf("manifest: %w", err)
	}
	said, _, _ := mime.ParseMediaType(contentType)
	if document.SchemaVersion == 1 || strings.HasPrefix(said, "application/vnd.docker.distribution.manifest.v1+") {
		return "", ErrSchema1
	}
	known := func(t string) bool { return oci.IsIndex(t) || oci.IsManifest(t) }
	switch own := document.MediaType; {
	case known(own) && known(said) && own != said:
		return "", fmt.Errorf("the manifest calls itself %q, its registry %q", own, said)
	case known(own):
		return own, nil
	case own == "" && known(said):
		return said, nil
	default:
		return "", fmt.Errorf("%q is no container image", cmp.Or(own, said))
	}
}

// document reads an index, manifest or config, whose size is bounded already. oci.Choose checks it.
func (c *client) document(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	kind := "blobs/"
	if oci.IsIndex(d.MediaType) || oci.IsManifest(d.MediaType) {
		kind = "manifests/"
	}
	content, _, err := c.whole(ctx, kind+d.Digest.String())
	return content, err
}

// whole reads all of an answer.
func (c *client) whole(ctx context.Context, what string) (content []byte, header http.Header, err error) {
	err = c.persist(ctx, func() error {
		resp, err := c.get(ctx, what, http.Header{"Accept": oci.DocumentTypes()})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		header = resp.Header
		content, err = io.ReadAll(io.LimitReader(resp.Body, oci.MaxDocument+1))
		return err
	})
	if err != nil {
		return nil, nil, c.explain(err)
	}
	if len(content) > oci.MaxDocument {
		return nil, nil, fmt.Errorf("registry %s: %s of %s has over %d bytes", c.ref.host, what, c.ref, oci.MaxDocument)
	}
	return content, header, nil
}
