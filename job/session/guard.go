package session

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job/journal"
	"github.com/rigmesh/rigmesh/job/statement"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// ErrSlot: this node has said something else for the same slot, or something for
// a later one. It is never the peer's fault: a rule of ours, or a disk, is broken.
var ErrSlot = errors.New("another statement was signed for this slot")

// Guard stands before a node's journal and keeps the node from contradicting
// itself, whatever asks it to. It knows few of the rules of a lease: that slots are
// taken in ascending order, that each has one payload, and that nothing else is said
// under a lease once its close is. Since nothing is sent that is not durable, what
// the guard refuses nobody ever sees.
type Guard struct {
	Journal
	self ed25519.PublicKey

	mu     sync.Mutex
	taken  map[owner]claim
	closed map[statement.Hash]statement.Hash // what was said to close a lease: all that is kept of it
}

// owner is who may say one thing for one slot at a time.
type owner struct {
	what string // type of statement, and by which number its slots are told apart
	of   statement.Hash
}

// What slots are taken for.
const (
	termsSlot     = "terms for bid"
	bothSidesSlot = "lease with itself"
	challengeSlot = "challenge in interval"
	beatSlot      = "beat in interval"
	ackSlot       = "ack in interval"
	ackedSlot     = "ack of beat"
	closeSlot     = "close"
	attestSlot    = "attestation of beat"
)

// claim is the highest slot that was used, and what was said there.
type claim struct {
	slot    uint64
	payload statement.Hash
}

// NewGuard makes the guard of a node with this key. Learn what the journal holds
// before anything is appended.
func NewGuard(j Journal, self ed25519.PublicKey) *Guard {
	return &Guard{Journal: j, self: self, taken: map[owner]claim{}, closed: map[statement.Hash]statement.Hash{}}
}

// Learn takes note of what a journal holds.
func (g *Guard) Learn(replay func(func(journal.Record) error) error) error {
	return replay(func(rec journal.Record) error {
		claims, err := g.claims(rec)
		if err != nil {
			return fmt.Errorf("statement of %s in the journal: %w", rec.Key, err)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.note(claims)
		return nil
	})
}

// Append makes a record durable, unless it says something for a slot that is
// taken: ErrSlot. What could not be written counts as said all the same.
func (g *Guard) Append(rec journal.Record) error {
	claims, err := g.claims(rec)
	if err != nil {
		return fmt.Errorf("statement of %s: %w", rec.Key, err)
	}
	if err := g.take(claims); err != nil {
		return fmt.Errorf("record of %s: %w", rec.Key, err)
	}
	return g.Journal.Append(rec)
}

// take takes all slots of a record or none.
func (g *Guard) take(claims map[owner]claim) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for o, c := range claims {
		if said, over := g.closed[o.of]; over && (o.what != closeSlot || c.payload != said) {
			return fmt.Errorf("%s %d after the close: %w", o.what, c.slot, ErrSlot)
		}
		if was, known := g.taken[o]; known && (c.slot < was.slot || c.slot == was.slot && c.payload != was.payload) {
			return fmt.Errorf("%s %d after %d: %w", o.what, c.slot, was.slot, ErrSlot)
		}
	}
	g.note(claims)
	return nil
}

// note remembers slots as taken. Of a lease that this node has closed it remembers that alone,
// since no slot is left: of a node's lease with itself it keeps them, since the requester
// may still ack what the worker said before its close. The caller holds mu.
func (g *Guard) note(claims map[owner]claim) {
	for o, c := range claims {
		if _, over := g.closed[o.of]; over {
			continue
		}
		if was, known := g.taken[o]; !known || c.slot > was.slot {
			g.taken[o] = c
		}
		if _, both := g.taken[owner{bothSidesSlot, o.of}]; o.what == closeSlot && !both {
			g.close(o.of, c.payload)
		}
	}
}

// close puts the close in the place of a lease's slots.
func (g *Guard) close(lease, payload statement.Hash) {
	g.closed[lease] = payload
	for _, what := range []string{challengeSlot, beatSlot, ackSlot, ackedSlot, closeSlot} {
		delete(g.taken, owner{what, lease})
	}
}

// claims are the slots that the statements of a record take.
func (g *Guard) claims(rec journal.Record) (map[owner]claim, error) {
	claims := map[owner]claim{}
	for _, b := range rec.Statements {
		var s marketv1.Signed
		if err := proto.Unmarshal(b, &s); err != nil {
			return nil, err
		}
		m := statement.Type(s.GetType()).New()
		if m == nil {
			return nil, statement.ErrType
		}
		if err := proto.Unmarshal(s.GetPayload(), m); err != nil {
			return nil, err
		}
		payload := statement.HashPayload(s.GetType(), s.GetPayload())
		for o, slot := range g.slots(m, s.GetPayload()) {
			claims[o] = claim{slot, payload}
		}
	}
	return claims, nil
}

// slots are those that a statement takes. Terms of which this node is not the
// worker are somebody else's countersignature.
func (g *Guard) slots(m proto.Message, payload []byte) map[owner]uint64 {
	of := func(what string, id []byte, slot uint64) (owner, uint64) {
		var h statement.Hash
		copy(h[:], id)
		return owner{what, h}, slot
	}
	out := map[owner]uint64{}
	take := func(o owner, slot uint64) { out[o] = slot }
	switch m := m.(type) {
	case *leasev1.Terms:
		if bytes.Equal(m.GetWorker(), g.self) {
			take(of(termsSlot, m.GetWorkerNonce(), 0))
			if bytes.Equal(m.GetRequester(), g.self) {
				id := statement.LeaseID(payload)
				take(of(bothSidesSlot, id[:], 0))
			}
		}
	case *leasev1.Challenge:
		take(of(challengeSlot, m.GetLeaseId(), m.GetInterval()))
	case *leasev1.Beat:
		take(of(beatSlot, m.GetLeaseId(), m.GetInterval()))
	case *leasev1.Ack:
		take(of(ackSlot, m.GetLeaseId(), m.GetInterval()))
		take(of(ackedSlot, m.GetLeaseId(), m.GetSeq()))
	case *leasev1.Close:
		take(of(closeSlot, m.GetLeaseId(), 0))
	case *leasev1.Attest:
		take(of(attestSlot, m.GetLeaseId(), m.GetSeq()))
	}
	return out
}
