package lease

import (
	"bytes"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// turn is one step being taken: a copy of the lease, and what is to be done.
type turn struct {
	Lease
	effects []Effect
}

// Step applies an event that happened now. On an error the lease is what it
// was. Time never goes back: an earlier now counts as the latest one.
func (l Lease) Step(now time.Time, ev Event) (Lease, []Effect, error) {
	t := turn{Lease: l}
	if now = exact(now); now.After(t.now) {
		t.now = now
	}
	if s, ok := ev.(Slept); ok && l.Role == Worker {
		t.sleep(s.Total) // before any deadline is looked at: what was slept brings none nearer
	}
	if l.phase != phaseEnded {
		t.expire()
	}
	// An event that comes as the lease ends by time is simply too late.
	if l.phase == phaseEnded || t.phase != phaseEnded {
		if err := t.apply(ev); err != nil {
			return l, nil, fmt.Errorf("%T: %w", ev, err)
		}
	}
	t.restate()
	return t.Lease, t.effects, nil
}

func (t *turn) apply(ev Event) error {
	if t.phase == phaseEnded {
		return t.afterEnd(ev)
	}
	switch ev := ev.(type) {
	case Tick:
		return t.tick(ev)
	case StopAsked:
		return t.stopAsked(ev.Grace)
	case ResyncReceived:
		return t.resync(ev.Resync)
	case Attested:
		return t.attestReceived(ev.attest)
	default:
		if t.Role == Worker {
			return t.applyWorker(ev)
		}
		return t.applyRequester(ev)
	}
}

// afterEnd takes what may still come: a worker that did not hear that its close is
// co-signed is told again, and what a witness attests to is as good as before.
func (t *turn) afterEnd(ev Event) error {
	if a, ok := ev.(Attested); ok {
		return t.attestReceived(a.attest)
	}
	c, ok := ev.(CloseReceived)
	if ok && t.state == Closed && bytes.Equal(c.Close.Payload(), t.closing.requester.GetPayload()) {
		t.send(t.closing.requester)
		return nil
	}
	return ErrEnded
}

func (t *turn) tick(ev Tick) error {
	switch {
	case t.Role == Requester:
		return t.challengeIfDue(ev.Random)
	case t.phase == phaseClosing && !t.now.Before(t.closing.retry):
		t.closing.retry = t.now.Add(t.interval)
		t.send(t.closing.worker)
	}
	return nil
}

func (t *turn) stopAsked(grace time.Duration) error {
	if t.Role == Worker {
		return t.stopTaskAsked(grace)
	}
	return t.wishStop(grace)
}

func (t *turn) do(ef Effect) { t.effects = append(t.effects, ef) }

func (t *turn) send(s *marketv1.Signed) { t.do(Send{s}) }

// sign marshals a statement of ours and signs it. Nothing may be refused after
// it: a signed statement is always sent.
func (t *turn) sign(typ statement.Type, m proto.Message) (*marketv1.Signed, error) {
	payload, err := statement.Payload(typ, m)
	if err != nil {
		return nil, err
	}
	return t.Sign(typ, payload), nil
}

// end is the one way out.
func (t *turn) end(s State, reason string) {
	t.phase, t.state, t.reason, t.changed = phaseEnded, s, reason, t.now
	t.worker.slot.open, t.requester.open = false, nil
	t.do(Ended{State: s, Reason: reason})
}

// fault ends the lease with two statements of the peer for one slot.
func (t *turn) fault(a, b *marketv1.Signed, what string) {
	t.proof = []*marketv1.Signed{a, b}
	if t.Role == Worker {
		t.stopForEnd()
	}
	t.end(Fault, what)
}

// checkFrom checks who signed a statement and for which lease.
func (t *turn) checkFrom(r Role, signer, leaseID []byte) error {
	if !bytes.Equal(signer, t.Agreement.Key(r)) {
		return ErrSigner
	}
	if !bytes.Equal(leaseID, t.id[:]) {
		return ErrLease
	}
	return nil
}
