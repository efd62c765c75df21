package market

import (
	"fmt"
	"time"

	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// StrangerInterval is the longest interval between heartbeats that a worker
// agrees to with a stranger, until something is paid.
const StrangerInterval = 5 * time.Second

// Strangers is what the owner allows requesters that have not paid for anything
// here yet. Keys are free: without limits whoever makes new ones has the machine for
// nothing, a few seconds at a time.
type Strangers struct {
	Leases int           // at a time, of one key, and of one block of addresses
	Budget time.Duration // of unpaid time on devices in a day, of all strangers together
}

// Acquaintance is what a worker knows of a requester that wants something.
type Acquaintance struct {
	Known  bool          // it pays for a lease now, or paid for one and closed all since by agreement
	Leases int           // of its key, that have not been paid for yet
	Nearby int           // of other strangers from its block of addresses, likewise
	Unpaid time.Duration // time on devices that all strangers had for nothing in the last day
}

// Decline is why a stranger gets nothing now, and nil when nothing is against it.
func (s Strangers) Decline(a Acquaintance) *marketv1.Decline {
	limit := func(format string, args ...any) *marketv1.Decline {
		return &marketv1.Decline{Reason: marketv1.DeclineReason_DECLINE_REASON_LIMIT, Text: fmt.Sprintf(format, args...)}
	}
	switch {
	case a.Known:
		return nil
	case a.Leases >= s.Leases:
		return limit("%s until a heartbeat is paid: you are new here", leases(s.Leases))
	case a.Nearby >= s.Leases:
		return limit("%s until a heartbeat is paid, for all that are new here and come from one block of addresses", leases(s.Leases))
	case a.Unpaid >= s.Budget:
		return limit("requesters that are new here have had today's %s for nothing already", s.Budget)
	}
	return nil
}

func leases(n int) string {
	if n == 1 {
		return "one lease at a time"
	}
	return fmt.Sprintf("%d leases at a time", n)
}
