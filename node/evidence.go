package node

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Samples asks a worker to open the samples that a beat's evidence committed to:
// count of them, from number first on. This node must be the lease's requester.
// What comes is not checked: see evidence.Check. Fewer come when the worker does not
// have the rest any more.
func (n *Node) Samples(ctx context.Context, from peer.ID, leaseID []byte, first, count uint64) ([][]byte, error) {
	all, err := readSamples(leaseID, first, count, func(req *leasev1.SamplesRequest) (*leasev1.SamplesResponse, error) {
		if from == n.host.ID() {
			return n.serveSamples(ctx, from, req)
		}
		var resp leasev1.SamplesResponse
		return &resp, stream.Call(ctx, n.host, from, "samples", req, &resp)
	})
	if err != nil {
		return nil, fmt.Errorf("samples of lease %x from %s: %w", leaseID, from, err)
	}
	return all, nil
}

// readSamples asks until all are here, or no more come.
func readSamples(leaseID []byte, first, count uint64, ask func(*leasev1.SamplesRequest) (*leasev1.SamplesResponse, error)) ([][]byte, error) {
	var all [][]byte
	for uint64(len(all)) < count {
		resp, err := ask(&leasev1.SamplesRequest{LeaseId: leaseID, First: first + uint64(len(all)), Count: count - uint64(len(all))})
		if err != nil {
			return nil, err
		}
		if len(resp.Samples) == 0 {
			break
		}
		all = append(all, resp.Samples...)
	}
	return all, nil
}

func (n *Node) serveSamples(_ context.Context, from peer.ID, req *leasev1.SamplesRequest) (*leasev1.SamplesResponse, error) {
	if n.worker == nil {
		return nil, fmt.Errorf("this node lends nothing")
	}
	return n.worker.Samples(from, req)
}
