package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/requester"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
	"github.com/rigmesh/rigmesh/runtime/publicnet"
)

// folders packs and unpacks the inputs and outputs of tasks on a worker.
type folders struct {
	store *blob.Store
	web   *http.Client // nil: the owner fetches nothing of it
}

// folders are those of this node.
func (n *Node) folders() folders { return folders{n.store, n.web()} }

func (f folders) Unpack(ctx context.Context, src runtime.BlobSource, manifest, dir string) error {
	opts := tree.UnpackOptions{OutsideLinks: true}
	if f.web != nil {
		opts.Web = func(url string) blob.Blobs { return page{f.web, url} }
	}
	_, err := tree.Unpack(ctx, src, manifest, dir, opts)
	nowhere := errors.Is(err, tree.ErrWeb) && errors.Is(err, blob.ErrUnknown) // and the requester will not have it later
	if nowhere || errors.Is(err, tree.ErrManifest) || errors.Is(err, tree.ErrTooMuch) || errors.Is(err, blob.ErrDigest) {
		return fmt.Errorf("%w: %w", worker.ErrContent, err)
	}
	if journal.IsFull(err) {
		return fmt.Errorf("%w: %w", runtime.ErrNoSpace, err)
	}
	return err
}

// page is one file of the web, whatever digest it is asked for by.
type page struct {
	client *http.Client
	url    string
}

// Blob implements blob.Blobs.
func (p page) Blob(ctx context.Context, _ string, offset int64) (io.ReadCloser, error) {
	return publicnet.Get(ctx, p.client, p.url, offset)
}

// web is a worker's way to files that a stranger names; nil where the owner wants none.
func (n *Node) web() *http.Client {
	if !n.cfg.FetchInputs {
		return nil
	}
	transport := publicnet.Transport()
	if n.parts.AnyAddress {
		transport = publicnet.Transport(publicnet.AnyAddress())
	}
	return &http.Client{Transport: transport, CheckRedirect: publicnet.CheckRedirect}
}

func (f folders) Pack(ctx context.Context, dir string) (worker.Packed, error) {
	p, err := tree.PackDir(ctx, dir, tree.ToStore(f.store), tree.PackOptions{SkipOdd: true})
	if errors.Is(err, blob.ErrNoSpace) {
		err = fmt.Errorf("%w: %w", runtime.ErrNoSpace, err)
	}
	return worker.Packed{Manifest: p.Manifest, Bytes: p.Bytes, Left: p.Left, Skipped: p.Skipped}, err
}

func (f folders) Digests(manifest string) ([]string, error) {
	m, err := tree.ReadManifest(context.Background(), f.store, manifest, tree.Limits{})
	if err != nil {
		return nil, err
	}
	out := []string{manifest}
	for _, e := range m.Entries {
		if e.Digest != "" {
			out = append(out, e.Digest)
		}
	}
	return out, nil
}

// content is the store as a requester needs it.
type content struct{ store *blob.Store }

func (c content) Reader(digest string, offset int64) (io.ReadCloser, error) {
	return c.store.Reader(digest, offset)
}

func (c content) Manifest(ctx context.Context, src runtime.BlobSource, digest string) (*marketv1.Manifest, error) {
	if src != nil {
		if err := c.Fetch(ctx, src, digest, tree.MaxManifest); err != nil {
			return nil, err
		}
	}
	m, err := tree.ReadManifest(ctx, c.store, digest, tree.Limits{})
	if errors.Is(err, tree.ErrManifest) || errors.Is(err, tree.ErrTooMuch) || errors.Is(err, blob.ErrDigest) || errors.Is(err, blob.ErrUnknown) || errors.Is(err, blob.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", requester.ErrContent, err)
	}
	return m, err
}

func (c content) Fetch(ctx context.Context, src runtime.BlobSource, digest string, limit int64) error {
	err := blob.FetchAtMost(ctx, src, digest, c.store, limit)
	switch {
	case errors.Is(err, blob.ErrDigest) || errors.Is(err, blob.ErrUnknown) || errors.Is(err, blob.ErrTooLarge):
		return fmt.Errorf("%w: %w", requester.ErrContent, err)
	case errors.Is(err, blob.ErrNoSpace):
		return fmt.Errorf("%w: %w", requester.ErrNoRoom, err)
	}
	return err
}
