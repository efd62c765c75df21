package lease

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// Recorded is one journaled step: the arguments of Step, and the statements in
// its effects.
type Recorded struct {
	Now        time.Time
	Event      []byte
	Statements []*marketv1.Signed
}

// Replay comes to the lease that the journal describes. Nothing is signed: what
// Step would sign must be in the record, with the same type and payload, or the
// error is ErrReplay. After that c.Sign is in place again.
func Replay(c Config, start time.Time, records []Recorded) (Lease, error) {
	l, err := New(c, start)
	if err != nil {
		return Lease{}, err
	}
	for i, r := range records {
		if l, err = l.repeat(r); err != nil {
			return Lease{}, fmt.Errorf("replay record %d: %w", i, err)
		}
	}
	return l, nil
}

// repeat takes one step with the statements of the record in the signer's place.
func (l Lease) repeat(r Recorded) (Lease, error) {
	ev, err := UnmarshalEvent(r.Event)
	if err != nil {
		return Lease{}, fmt.Errorf("%w: %w", ErrReplay, err)
	}
	again, missing := l, false
	again.Sign = func(t statement.Type, payload []byte) *marketv1.Signed {
		for _, s := range r.Statements {
			if s.GetType() == string(t) && bytes.Equal(s.GetPayload(), payload) {
				return s
			}
		}
		missing = true
		return &marketv1.Signed{}
	}
	next, effects, err := again.Step(r.Now, ev)
	switch {
	case outgrown(r, err):
		return l, nil
	case err != nil:
		return Lease{}, fmt.Errorf("%w: %w", ErrReplay, err)
	case missing:
		return Lease{}, fmt.Errorf("%w: it holds no such statement", ErrReplay)
	}
	next.Sign = l.Sign
	return next, next.checkSaid(Statements(effects), r.Statements)
}

// outgrown says whether a record is of something that an earlier version took and this
// one refuses. Nothing was signed for it, and the lease is as good without.
func outgrown(r Recorded, err error) bool {
	return len(r.Statements) == 0 && (errors.Is(err, ErrAttest) || errors.Is(err, ErrStale))
}

// checkSaid compares the statements of a repeated step with the record's, and
// refuses any of ours that is not signed with our key.
func (l Lease) checkSaid(now, then []*marketv1.Signed) error {
	if len(now) != len(then) {
		return fmt.Errorf("%w: %d statements, not %d", ErrReplay, len(now), len(then))
	}
	for i, s := range now {
		if !sameStatement(s, then[i]) {
			return fmt.Errorf("%w: statement %d is another", ErrReplay, i)
		}
		if err := statement.CheckSignature(s, l.Agreement.Key(l.Role)); err != nil {
			return fmt.Errorf("%w: %w", ErrReplay, err)
		}
	}
	return nil
}

// Chain collects from a journal every co-signed beat, with the seals that this
// side saw and that the chain names: what a receipt leaves out, for whoever wants
// to look at all of it. It needs no key.
func Chain(c Config, start time.Time, records []Recorded) (*leasev1.Chain, error) {
	c.Sign = func(statement.Type, []byte) *marketv1.Signed { return nil } // never asked: see repeat
	l, err := New(c, start)
	if err != nil {
		return nil, err
	}
	chain := &leasev1.Chain{}
	for i, r := range records {
		before := l.chain.sealed
		if l, err = l.repeat(r); err != nil {
			return nil, fmt.Errorf("replay record %d: %w", i, err)
		}
		chain.Links = l.chain.link(chain.Links, l.chain.sealed > before)
	}
	if n := len(chain.Links); n > 0 && l.chain.names(l.closing.close.GetLastSeal()) == 0 {
		chain.Links[n-1].Seal = nil
	}
	return chain, nil
}

// link brings a list of links up to the chain. The close may have dropped the
// last beat. A seal that the next beat did not name may have been made at any time.
func (c chain) link(links []*leasev1.Link, named bool) []*leasev1.Link {
	links = links[:min(uint64(len(links)), c.beats)]
	if c.beats == 0 {
		return links
	}
	if n := len(links); uint64(n) < c.beats {
		if n > 0 && !named {
			links[n-1].Seal = nil
		}
		links = append(links, &leasev1.Link{Beat: c.beat, Ack: c.ack})
	}
	if c.seal != nil {
		links[len(links)-1].Seal = c.seal
	}
	return links
}
