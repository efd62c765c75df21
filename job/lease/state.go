package lease

import "fmt"

// Role is which side of a lease this node is.
type Role uint8

// The two sides.
const (
	Worker Role = iota + 1
	Requester
)

// String is the role in lower case.
func (r Role) String() string {
	switch r {
	case Worker:
		return "worker"
	case Requester:
		return "requester"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// State is where a lease stands, as its own side sees it.
type State uint8

// The states. The last four are ends: nothing leaves them.
const (
	Waiting   State = iota // signed, and no first challenge yet
	Active                 // served and paid
	AwaitAck               // worker: a beat is sent and not yet co-signed
	Suspect                // at least one interval passed without a co-signed beat
	Suspended              // so many that the worker froze the task
	Closing                // worker: the task ended, the close is not co-signed yet
	Closed                 // ended by agreement
	Lapsed                 // ended by silence
	Refused                // never began
	Fault                  // the peer signed two statements for one slot
)

var stateNames = [...]string{
	Waiting: "waiting", Active: "active", AwaitAck: "await-ack", Suspect: "suspect", Suspended: "suspended",
	Closing: "closing", Closed: "closed", Lapsed: "lapsed", Refused: "refused", Fault: "fault",
}

// String is the state's name in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Ended says that nothing will change any more.
func (s State) Ended() bool { return s >= Closed }
