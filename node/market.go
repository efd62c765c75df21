package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/requester"
	"github.com/rigmesh/rigmesh/job/statement"
	"github.com/rigmesh/rigmesh/job/worker"
	"github.com/rigmesh/rigmesh/p2p/stream"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// errLendsNothing: a node that only rents was named as the worker of its own job.
var errLendsNothing = errors.New("this node itself, and it lends nothing: rigmesh up is one that lends")

// marketSide is the requester's way to find workers and talk terms with them.
// This node's own worker is asked in process: libp2p cannot dial itself.
type marketSide struct{ n *Node }

func (m marketSide) PeerRecord() ([]byte, error)             { return m.n.host.PeerRecord() }
func (m marketSide) AddPeerRecord(b []byte) (peer.ID, error) { return m.n.host.AddPeerRecord(b) }
func (m marketSide) Connected() int                          { return len(m.n.host.Peers()) }

func (m marketSide) Offers(ctx context.Context, need *marketv1.Requirement) <-chan requester.Offer {
	m.n.offers.use()
	return m.n.offers.search(ctx, need)
}

func (m marketSide) Resolve(ctx context.Context, name string) (peer.ID, error) {
	if id, err := peer.Decode(name); err == nil {
		return id, nil
	}
	id, err := m.n.host.ConnectAddr(ctx, name)
	if err != nil {
		return "", fmt.Errorf("not a peer id, and not an address that answers: %w", err)
	}
	return id, nil
}

func (m marketSide) Ask(ctx context.Context, to peer.ID, ann *marketv1.Signed) (*marketv1.Answer, error) {
	if to == m.n.host.ID() {
		if m.n.worker == nil {
			return nil, errLendsNothing
		}
		return m.n.answer(to, ann)
	}
	if m.n.host.RTT(to) == 0 {
		go m.n.host.Ping(ctx, to) //nolint:errcheck // for the next time: this answer does not wait
	}
	var a marketv1.Answer
	if err := stream.Call(ctx, m.n.host, to, "ask", &marketv1.AskRequest{Announcement: ann}, &a); err != nil {
		return nil, err
	}
	return &a, nil
}

func (m marketSide) Witnesses(count int, without []peer.ID) []peer.ID {
	all := slices.DeleteFunc(m.n.host.Speakers(witnessProtocol), func(id peer.ID) bool { return slices.Contains(without, id) })
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(count, len(all))]
}

func (m marketSide) RecordOf(id peer.ID) []byte { return m.n.host.RecordOf(id) }

// answer is this node's worker's answer to an announcement that its author brought. One that
// cannot be considered is declined with the reason: its author learns nothing from an error.
func (n *Node) answer(from peer.ID, signed *marketv1.Signed) (*marketv1.Answer, error) {
	ann, err := n.brought(from, signed)
	if err == nil {
		return n.worker.Ask(ann)
	}
	n.log.Debug("an announcement that cannot be considered", "peer", from, "err", err)
	hash := statement.HashPayload(string(statement.TypeAnnouncement), signed.GetPayload())
	return &marketv1.Answer{Answer: &marketv1.Answer_Decline{Decline: &marketv1.Decline{
		AnnouncementHash: hash[:], Reason: marketv1.DeclineReason_DECLINE_REASON_INVALID, Text: job.CleanText(err.Error()),
	}}}, nil
}

// brought is an announcement that can be considered, and that its author brought.
func (n *Node) brought(from peer.ID, signed *marketv1.Signed) (worker.Announcement, error) {
	ann, err := statement.OpenAnnouncement(signed)
	if err != nil {
		return ann, err
	}
	m := ann.Message()
	if err := job.CheckAnnouncement(m); err != nil {
		return ann, err
	}
	if id, err := job.PeerID(ann.Signer()); err != nil || id != from {
		return ann, fmt.Errorf("the announcement of %s came from %s", id, from)
	}
	if m.Network != n.cfg.Network {
		return ann, fmt.Errorf("the announcement is for network %q", m.Network)
	}
	return ann, nil
}

func (m marketSide) Announce(ctx context.Context, need *marketv1.Requirement, ann *marketv1.Signed, wider int) (bool, error) {
	return m.n.board.Publish(ctx, job.TierFor(need), ann, wider)
}

func (m marketSide) StampBits() int { return m.n.board.StampBits() }

func (m marketSide) RTT(worker peer.ID) time.Duration {
	if worker == m.n.host.ID() {
		return time.Microsecond
	}
	return m.n.host.RTT(worker)
}

func (m marketSide) Ping(ctx context.Context, worker peer.ID) (time.Duration, error) {
	if worker == m.n.host.ID() {
		return time.Microsecond, nil
	}
	return m.n.host.Ping(ctx, worker)
}

func (m marketSide) Withdraw(ctx context.Context, losers []peer.ID, announced bool, withdrawal *marketv1.Signed) {
	if announced {
		if err := m.n.board.Withdraw(ctx, withdrawal); err != nil {
			m.n.log.Debug("withdraw an announcement", "err", err)
		}
		return // the losers hear it with everybody else
	}
	var telling sync.WaitGroup
	defer telling.Wait()
	for _, id := range losers {
		telling.Go(func() {
			var got marketv1.LetGoReceived
			if err := stream.Call(ctx, m.n.host, id, "letgo", &marketv1.LetGo{Withdrawal: withdrawal}, &got); err != nil {
				m.n.log.Debug("let a bid go", "peer", id, "err", err)
			}
		})
	}
}

func (m marketSide) Award(ctx context.Context, to peer.ID, req *leasev1.AwardRequest) (*leasev1.AwardResponse, error) {
	if to == m.n.host.ID() {
		if m.n.worker == nil {
			return nil, errLendsNothing
		}
		return m.n.worker.Award(to, req)
	}
	var resp leasev1.AwardResponse
	if err := stream.CallLimited(ctx, m.n.host, to, "lease", awardLimits, req, &resp); err != nil {
		return nil, err
	}
	return &resp, nil
}
