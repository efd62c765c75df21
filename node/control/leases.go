package control

import (
	"context"
	"time"

	"connectrpc.com/connect"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/rigmesh/rigmesh/proto/control/v1/controlv1connect"
)

// Leases gives out what stands behind receipts. An id is that of a lease or a job, or
// a unique beginning of one: ErrNotFound, ErrAmbiguous.
type Leases interface {
	// OpenLease gives the whole lease of a receipt as a file, with samples where the
	// worker opens them, and in words what is not in it.
	OpenLease(ctx context.Context, id string, samples bool) (file []byte, missing []string, err error)
	// ReadReceipts gives fn every receipt of a lease that ended in a time, oldest first.
	ReadReceipts(from, to time.Time, fn func(role string, receipt []byte) error) error
	// Proof gives the file that proves an equivocation of the other side.
	Proof(id string) (leaseID string, proof []byte, err error)
}

// leaseServer answers the calls of ReceiptService.
type leaseServer struct{ leases Leases }

var _ controlv1connect.ReceiptServiceHandler = leaseServer{}

// OpenLease implements controlv1connect.ReceiptServiceHandler.
func (s leaseServer) OpenLease(ctx context.Context, req *controlv1.OpenLeaseRequest, stream *connect.ServerStream[controlv1.OpenLeaseResponse]) error {
	file, missing, err := s.leases.OpenLease(ctx, req.Id, req.Samples)
	if err != nil {
		return toWire(err)
	}
	for first := true; first || len(file) > 0; first = false {
		n := min(len(file), piece)
		if err := stream.Send(&controlv1.OpenLeaseResponse{Data: file[:n], Missing: missing}); err != nil {
			return err
		}
		file, missing = file[n:], nil
	}
	return nil
}

// ReadReceipts implements controlv1connect.ReceiptServiceHandler.
func (s leaseServer) ReadReceipts(_ context.Context, req *controlv1.ReadReceiptsRequest, stream *connect.ServerStream[controlv1.ReadReceiptsResponse]) error {
	return toWire(s.leases.ReadReceipts(time.UnixMilli(req.FromMs), time.UnixMilli(req.ToMs), func(role string, receipt []byte) error {
		return stream.Send(&controlv1.ReadReceiptsResponse{Role: role, Receipt: receipt})
	}))
}

// GetProof implements controlv1connect.ReceiptServiceHandler.
func (s leaseServer) GetProof(_ context.Context, req *controlv1.GetProofRequest) (*controlv1.GetProofResponse, error) {
	lease, proof, err := s.leases.Proof(req.LeaseId)
	if err != nil {
		return nil, toWire(err)
	}
	return &controlv1.GetProofResponse{LeaseId: lease, Proof: proof}, nil
}
