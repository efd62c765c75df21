package control

import (
	"context"
	"iter"
	"time"

	"connectrpc.com/connect"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
)

// OpenLease gives the whole lease of a receipt as a file, and what is not in it.
func (c *Client) OpenLease(ctx context.Context, id string, samples bool) (file []byte, missing []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.leases.OpenLease(ctx, &controlv1.OpenLeaseRequest{Id: id, Samples: samples})
	if err != nil {
		return nil, nil, fromWire(err)
	}
	defer stream.Close()
	for stream.Receive() {
		file = append(file, stream.Msg().Data...)
		missing = append(missing, stream.Msg().Missing...)
	}
	return file, missing, fromWire(stream.Err())
}

// ReadReceipts gives the receipts of leases that ended in a time, oldest first. An error
// comes last, with a nil receipt.
func (c *Client) ReadReceipts(ctx context.Context, from, to time.Time) iter.Seq2[*controlv1.ReadReceiptsResponse, error] {
	return received(ctx, func(ctx context.Context) (*connect.ServerStreamForClient[controlv1.ReadReceiptsResponse], error) {
		return c.leases.ReadReceipts(ctx, &controlv1.ReadReceiptsRequest{FromMs: from.UnixMilli(), ToMs: to.UnixMilli()})
	})
}

// Proof gives the file that proves an equivocation, and the id of its lease.
func (c *Client) Proof(ctx context.Context, id string) (leaseID string, proof []byte, err error) {
	resp, err := c.leases.GetProof(ctx, &controlv1.GetProofRequest{LeaseId: id})
	return resp.GetLeaseId(), resp.GetProof(), fromWire(err)
}
