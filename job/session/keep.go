package session

import (
	"fmt"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
)

// Receipts is told of every receipt a lease ends with, and of every proof that the
// other side signed two things for one slot.
type Receipts interface {
	Keep(role string, r *leasev1.Receipt) error
	KeepProof(role string, e *leasev1.Equivocation) error
}

// Keep hands over the best receipt that there is, and the proof of an equivocation.
func (s *Session) Keep(to Receipts) error {
	l := s.Lease()
	if r := l.Receipt(); r != nil {
		if err := to.Keep(l.Role.String(), r); err != nil {
			return err
		}
	}
	if p := l.Equivocation(); p != nil {
		if err := to.KeepProof(l.Role.String(), p); err != nil {
			return fmt.Errorf("proof of an equivocation: %w", err)
		}
	}
	return nil
}
