package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/node/control"
	"github.com/rigmesh/rigmesh/node/shares"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/blob/tree"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// findWithin bounds looking for a folder, also while this node knows nobody yet.
const findWithin = 20 * time.Second

// Share implements control.Sharing.
func (c *commons) Share(req *controlv1.ShareRequest) (*controlv1.Share, error) {
	m, err := c.here(req.Manifest)
	if err != nil {
		return nil, err
	}
	if req.ForMs < 0 || req.ForMs > longestShare.Milliseconds() {
		return nil, fmt.Errorf("%w: shared for %d ms: want at most %s", control.ErrInvalid, req.ForMs, longestShare)
	}
	s := shares.Share{Manifest: req.Manifest, Name: job.CleanText(req.Name), Bytes: bytesOf(m)}
	if req.ForMs > 0 {
		s.Until = c.n.now().Add(time.Duration(req.ForMs) * time.Millisecond)
	}
	err = c.shares.Add(s)
	if errors.Is(err, shares.ErrTooMany) {
		err = fmt.Errorf("%w: %w", control.ErrInvalid, err)
	}
	return shareMessage(s), err
}

// longestShare is ten years: who wants more says nothing.
const longestShare = 10 * 365 * 24 * time.Hour

// Unshare implements control.Sharing.
func (c *commons) Unshare(beginning string) (*controlv1.Share, error) {
	s, err := c.shares.Remove(beginning)
	switch {
	case errors.Is(err, shares.ErrNone):
		err = fmt.Errorf("%w: %w", control.ErrNotFound, err)
	case errors.Is(err, shares.ErrAmbiguous):
		err = fmt.Errorf("%w: %w", control.ErrAmbiguous, err)
	}
	return shareMessage(s), err
}

// Shares implements control.Sharing.
func (c *commons) Shares() (all []*controlv1.Share) {
	for _, s := range c.shares.List() {
		all = append(all, shareMessage(s))
	}
	return all
}

func shareMessage(s shares.Share) *controlv1.Share {
	m := &controlv1.Share{Manifest: s.Manifest, Name: s.Name, TotalBytes: s.Bytes}
	if !s.Until.IsZero() {
		m.UntilMs = s.Until.UnixMilli()
	}
	return m
}

// FindShared implements control.Sharing. Of a folder that is not here it brings the manifest.
func (c *commons) FindShared(ctx context.Context, digest string) (*controlv1.FindSharedResponse, error) {
	m, err := c.here(digest)
	if errors.Is(err, control.ErrMissing) {
		m, err = c.find(ctx, digest)
	}
	if err != nil {
		return nil, err
	}
	e := m.GetEntries()
	file := len(e) == 1 && e[0].GetPath() == job.InputFile && e[0].GetDigest() != ""
	return &controlv1.FindSharedResponse{TotalBytes: bytesOf(m), File: file}, nil
}

// here is a folder that is in the store with all it names. ErrMissing, ErrInvalid.
func (c *commons) here(digest string) (*marketv1.Manifest, error) {
	if err := blob.Check(digest); err != nil {
		return nil, fmt.Errorf("%w: %w", control.ErrInvalid, err)
	}
	if !c.n.store.Has(digest) {
		return nil, fmt.Errorf("%s: %w", digest, control.ErrMissing)
	}
	m, err := tree.ReadManifest(context.Background(), c.n.store, digest, tree.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no folder: %w", control.ErrInvalid, digest, err)
	}
	for _, e := range m.GetEntries() {
		if d := e.GetDigest(); d != "" && !c.n.store.Has(d) {
			return nil, fmt.Errorf("%s, of %s: %w", e.GetPath(), digest, control.ErrMissing)
		}
	}
	return m, nil
}

// find asks other nodes for a manifest. A node that was just started knows none yet.
func (c *commons) find(ctx context.Context, digest string) (*marketv1.Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, findWithin)
	defer cancel()
	for {
		i := c.swarm.Image(digest)
		content, err := i.Document(ctx, digest, tree.MaxManifest)
		_ = i.Close()
		if err == nil {
			if err := c.n.store.Put(ctx, digest, bytes.NewReader(content)); err != nil {
				return nil, err
			}
			return tree.ReadManifest(ctx, c.n.store, digest, tree.Limits{})
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w: nobody that can be reached shares it", digest, control.ErrNotFound)
		}
	}
}

func bytesOf(m *marketv1.Manifest) (n uint64) {
	for _, e := range m.GetEntries() {
		n += e.GetSizeBytes()
	}
	return n
}
