package node

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/session"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/job/witness"
	"github.com/rigmesh/rigmesh/p2p/blob"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
	"github.com/rigmesh/rigmesh/runtime"
)

// awardLimits leave room for a spec with all the words and variables it may have.
var awardLimits = stream.Limits{MaxMessage: 1 << 20}

// streamSide is the requester's way to the streams of a lease.
type streamSide struct{ n *Node }

func (s streamSide) Protect(worker peer.ID, lease string) (release func()) {
	return s.n.host.Protect(worker, lease)
}

func (s streamSide) Beat(ctx context.Context, worker peer.ID) (session.Link, error) {
	s.n.host.Hasten(worker)
	return s.n.open(ctx, worker, "beat", stream.Limits{}, s.n.serveBeat)
}

func (s streamSide) Task(ctx context.Context, worker peer.ID) (session.Link, error) {
	return s.n.open(ctx, worker, "logs", stream.Limits{}, s.n.serveTask)
}

func (s streamSide) Blobs(worker peer.ID, leaseID []byte) (runtime.BlobSource, func()) {
	return s.n.blobs(worker, leaseID)
}

// blobs is what a peer serves us under a lease; our own store when that is us.
func (n *Node) blobs(from peer.ID, leaseID []byte) (src runtime.BlobSource, release func()) {
	if from == n.host.ID() {
		return n.store, func() {}
	}
	r := blob.Source(n.host, from, leaseID)
	return r, func() { _ = r.Close() }
}

// serve answers the streams of this node's peers. Everything stops with the host.
func (n *Node) serve() {
	stream.Serve(n.host, "bid", stream.Limits{}, limited(n, n.serveBid))
	stream.Accept(n.host, witnessProtocol, stream.Limits{PerPeer: witness.MaxWorkerLeases, Total: witness.MaxLeases}, func(ctx context.Context, c *stream.Conn) {
		if !n.rates.allow(c.Peer()) {
			c.Reset()
			return
		}
		n.serveWitness(ctx, c)
	})
	parts, _ := n.parts.Runtime.(runtime.Images)
	blob.Serve(n.host, contents{n.store, n.images, parts}, func(from peer.ID, leaseID []byte, digest string) bool {
		if len(leaseID) == 0 {
			return (n.worker != nil && n.images.public(digest)) || n.commons.shares.Has(digest)
		}
		return n.requester.MayFetch(from, leaseID, digest) || (n.worker != nil && n.worker.MayFetch(from, leaseID, digest))
	}, n.uploaded)
	if n.worker == nil {
		return
	}
	stream.Serve(n.host, "offer", stream.Limits{}, limited(n, n.serveOffer))
	stream.Serve(n.host, "ask", stream.Limits{}, limited(n, n.serveAsk))
	stream.Serve(n.host, "letgo", stream.Limits{}, limited(n, n.serveLetGo))
	stream.Serve(n.host, "lease", awardLimits, limited(n, n.serveAward))
	stream.Serve(n.host, "freeze", stream.Limits{}, limited(n, n.serveFreeze))
	stream.Serve(n.host, "stats", stream.Limits{}, limited(n, n.serveStats))
	stream.Serve(n.host, "samples", stream.Limits{}, limited(n, n.serveSamples))
	stream.Accept(n.host, "beat", stream.Limits{}, func(ctx context.Context, c *stream.Conn) { n.serveBeat(ctx, c) })
	stream.Accept(n.host, "exec", execLimits, func(ctx context.Context, c *stream.Conn) { n.serveExec(ctx, c) })
	stream.Accept(n.host, portProtocol, portLimits, func(ctx context.Context, c *stream.Conn) { n.servePort(ctx, c) })
	stream.Accept(n.host, "logs", stream.Limits{}, func(ctx context.Context, c *stream.Conn) { n.serveTask(ctx, c) })
}

func (n *Node) serveOffer(context.Context, peer.ID, *marketv1.OfferRequest) (*marketv1.OfferResponse, error) {
	signed, err := n.worker.Offer()
	return &marketv1.OfferResponse{Offer: signed}, err
}

func (n *Node) serveAsk(_ context.Context, from peer.ID, req *marketv1.AskRequest) (*marketv1.Answer, error) {
	return n.answer(from, req.Announcement)
}

func (n *Node) serveBid(_ context.Context, from peer.ID, a *marketv1.Answer) (*marketv1.AnswerReceived, error) {
	over, price := n.requester.Answered(from, a)
	return &marketv1.AnswerReceived{Over: over, Price: price}, nil
}

func (n *Node) serveLetGo(_ context.Context, from peer.ID, req *marketv1.LetGo) (*marketv1.LetGoReceived, error) {
	w, err := statement.OpenWithdrawal(req.Withdrawal)
	if err != nil {
		return nil, err
	}
	return &marketv1.LetGoReceived{}, n.worker.LetGo(w)
}

func (n *Node) serveAward(_ context.Context, from peer.ID, req *leasev1.AwardRequest) (*leasev1.AwardResponse, error) {
	for _, record := range append([][]byte{req.PeerRecord}, req.WitnessRecords[:min(len(req.WitnessRecords), job.MaxWitnesses)]...) {
		if _, err := n.host.AddPeerRecord(record); err != nil {
			n.log.Debug("addresses of an award", "peer", from, "err", err)
		}
	}
	return n.worker.Award(from, req)
}

// witnessProtocol is what every node speaks that watches leases for others.
const witnessProtocol = "witness"

// serveWitness watches a lease for a worker.
func (n *Node) serveWitness(ctx context.Context, link session.Link) {
	if err := n.witness.Serve(ctx, link); err != nil {
		n.log.Debug("witness stream", "peer", link.Peer(), "err", err)
		link.Reset()
	}
}

// serveBeat hands a lease's kept stream to its session, for as long as both live.
func (n *Node) serveBeat(ctx context.Context, link session.Link) {
	if n.worker == nil {
		return
	}
	var f leasev1.BeatFrame
	if err := link.Recv(&f); err != nil {
		return
	}
	if err := n.worker.Accept(ctx, f.GetOpen().GetLeaseId(), link); err != nil {
		n.log.Debug("beat stream", "peer", link.Peer(), "err", err)
		return
	}
	<-ctx.Done()
}

// serveTask serves a task's progress and output to its requester.
func (n *Node) serveTask(ctx context.Context, link session.Link) {
	if n.worker == nil {
		return
	}
	var req leasev1.TaskRequest
	if err := link.Recv(&req); err != nil {
		return
	}
	if c, ok := link.(*stream.Conn); ok {
		c.WatchEnd() // the requester says nothing more; its leaving ends ctx
	}
	if err := n.worker.Follow(ctx, &req, link); err != nil {
		n.log.Debug("task stream", "peer", link.Peer(), "err", err)
		link.Reset()
	}
}

// workerSide is the worker's way to requesters.
type workerSide struct{ n *Node }

func (w workerSide) PeerRecord() ([]byte, error)             { return w.n.host.PeerRecord() }
func (w workerSide) AddPeerRecord(b []byte) (peer.ID, error) { return w.n.host.AddPeerRecord(b) }

func (w workerSide) Protect(id peer.ID, lease string) (release func()) {
	return w.n.host.Protect(id, lease)
}

func (w workerSide) Origins(id peer.ID) []netip.Prefix { return w.n.host.Origins(id) }

func (w workerSide) Witness(ctx context.Context, id peer.ID) (session.Link, error) {
	if id == w.n.host.ID() {
		return w.n.local(w.n.serveWitness), nil
	}
	return stream.Open(ctx, w.n.host, id, witnessProtocol)
}

func (w workerSide) Connect(ctx context.Context, id peer.ID) error {
	if id == w.n.host.ID() {
		return nil
	}
	return w.n.host.Connect(ctx, id)
}

func (w workerSide) Answer(ctx context.Context, to peer.ID, a *marketv1.Answer) (over bool, price uint64, err error) {
	if to == w.n.host.ID() {
		over, price = w.n.requester.Answered(to, a)
		return over, price, nil
	}
	var got marketv1.AnswerReceived
	if err := stream.Call(ctx, w.n.host, to, "bid", a, &got); err != nil {
		return false, 0, fmt.Errorf("answer %s: %w", to, err)
	}
	return got.Over, got.Price, nil
}

func (w workerSide) Blobs(from peer.ID, leaseID []byte) (runtime.BlobSource, func()) {
	return w.n.blobs(from, leaseID)
}
