package control

import (
	"context"

	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
)

// Sharing is what this node gives to whoever knows its digest, and what others give so.
type Sharing interface {
	// Share gives a folder whose blobs are in the store to others. ErrMissing, ErrInvalid.
	Share(*controlv1.ShareRequest) (*controlv1.Share, error)
	// Unshare takes it back, by the beginning of its digest. ErrNotFound, ErrAmbiguous.
	Unshare(beginning string) (*controlv1.Share, error)
	// Shares tells what is shared, oldest first.
	Shares() []*controlv1.Share
	// FindShared looks for a folder here and at other nodes. ErrNotFound, ErrInvalid.
	FindShared(ctx context.Context, digest string) (*controlv1.FindSharedResponse, error)
}

// shareServer answers the calls of ShareService.
type shareServer struct{ sharing Sharing }

var _ controlv1connect.ShareServiceHandler = shareServer{}

// Share implements controlv1connect.ShareServiceHandler.
func (s shareServer) Share(_ context.Context, req *controlv1.ShareRequest) (*controlv1.ShareResponse, error) {
	share, err := s.sharing.Share(req)
	if err != nil {
		return nil, toWire(err)
	}
	return &controlv1.ShareResponse{Share: share}, nil
}

// Unshare implements controlv1connect.ShareServiceHandler.
func (s shareServer) Unshare(_ context.Context, req *controlv1.UnshareRequest) (*controlv1.UnshareResponse, error) {
	share, err := s.sharing.Unshare(req.Manifest)
	if err != nil {
		return nil, toWire(err)
	}
	return &controlv1.UnshareResponse{Share: share}, nil
}

// ListShares implements controlv1connect.ShareServiceHandler.
func (s shareServer) ListShares(context.Context, *controlv1.ListSharesRequest) (*controlv1.ListSharesResponse, error) {
	return &controlv1.ListSharesResponse{Shares: s.sharing.Shares()}, nil
}

// FindShared implements controlv1connect.ShareServiceHandler.
func (s shareServer) FindShared(ctx context.Context, req *controlv1.FindSharedRequest) (*controlv1.FindSharedResponse, error) {
	found, err := s.sharing.FindShared(ctx, req.Manifest)
	if err != nil {
		return nil, toWire(err)
	}
	return found, nil
}

// Share gives a folder whose blobs are in the node's store to whoever knows the digest of its
// manifest. ErrMissing, ErrInvalid.
func (c *Client) Share(ctx context.Context, req *controlv1.ShareRequest) (*controlv1.Share, error) {
	resp, err := c.sharing.Share(ctx, req)
	return resp.GetShare(), fromWire(err)
}

// Unshare takes back what is shared, by the beginning of its digest. ErrNotFound, ErrAmbiguous.
func (c *Client) Unshare(ctx context.Context, beginning string) (*controlv1.Share, error) {
	resp, err := c.sharing.Unshare(ctx, &controlv1.UnshareRequest{Manifest: beginning})
	return resp.GetShare(), fromWire(err)
}

// Shares tells what is shared, oldest first.
func (c *Client) Shares(ctx context.Context) ([]*controlv1.Share, error) {
	resp, err := c.sharing.ListShares(ctx, &controlv1.ListSharesRequest{})
	return resp.GetShares(), fromWire(err)
}

// FindShared looks for a folder at the node and at others. ErrNotFound, ErrInvalid.
func (c *Client) FindShared(ctx context.Context, digest string) (*controlv1.FindSharedResponse, error) {
	resp, err := c.sharing.FindShared(ctx, &controlv1.FindSharedRequest{Manifest: digest})
	return resp, fromWire(err)
}
