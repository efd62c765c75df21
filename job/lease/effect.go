package lease

import (
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Effect is one thing to do, in order, after the event and the statements in
// its effects are durable. Not before: a crash in between would make this node
// sign two things for one slot.
//
//sumtype:decl
type Effect interface{ effect() }

type (
	// Send sends a finished statement to the peer.
	Send struct{ Statement *marketv1.Signed }

	// SendResync shows the peer what this side holds of the chain.
	SendResync struct{ Resync *leasev1.Resync }

	// SendStop asks the worker to end the task.
	SendStop struct{ Grace time.Duration }

	// SendSeal sends a seal to the requester.
	SendSeal struct{ Seal *leasev1.Seal }

	// SendAttest passes a witness's attestation on to the requester.
	SendAttest struct{ Attest *marketv1.Signed }

	// ShowWitness shows a witness the co-signed beat that its nonce stands in.
	ShowWitness struct {
		Witness uint32 // its place in the terms
		Shown   *leasev1.Shown
	}

	// StartTask starts the task. It comes once.
	StartTask struct{}

	// StopTask ends the task: politely, and by force after Grace.
	StopTask struct{ Grace time.Duration }

	// FreezeTask stops the task's clock until ThawTask.
	FreezeTask struct{}

	// ThawTask lets a frozen task go on.
	ThawTask struct{}

	// Beaten says that a beat is co-signed, for people to see. The figures are
	// cumulative; CreditMS is milliseconds, Amount micro-credits.
	Beaten struct{ Seq, Interval, CreditMS, Amount uint64 }

	// Disputed says that a beat was co-signed although its evidence does not fit.
	// What was acked stays owed; whether to go on is for people to say.
	Disputed struct {
		Seq        uint64
		Mismatches []leasev1.Mismatch
	}

	// Ended is the last effect: release the devices, keep the receipt.
	Ended struct {
		State  State
		Reason string
	}
)

func (Send) effect()        {}
func (SendResync) effect()  {}
func (SendStop) effect()    {}
func (SendSeal) effect()    {}
func (SendAttest) effect()  {}
func (ShowWitness) effect() {}
func (StartTask) effect()   {}
func (StopTask) effect()    {}
func (FreezeTask) effect()  {}
func (ThawTask) effect()    {}
func (Beaten) effect()      {}
func (Disputed) effect()    {}
func (Ended) effect()       {}

// Statements are those that the effects send, in order: what the journal must
// hold before any effect is performed, and what Replay wants back.
func Statements(effects []Effect) []*marketv1.Signed {
	var out []*marketv1.Signed
	for _, ef := range effects {
		if s, ok := ef.(Send); ok {
			out = append(out, s.Statement)
		}
	}
	return out
}
