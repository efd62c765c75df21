package lease

import (
	"time"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// Event is one thing that happened to a lease.
//
//sumtype:decl
type Event interface{ event() }

// RandomSize is how many random bytes a tick carries.
const RandomSize = 40

type (
	// Tick says that time passed; send one at Deadline. On the requester
	// Random must be fresh: 32 bytes are the nonce of a challenge if one is
	// due, 8 choose the moment of the next. The worker's ticks need none.
	Tick struct{ Random [RandomSize]byte }

	// StopAsked says that the requester wants the task to end: on the
	// requester the user's wish, on the worker the peer's frame.
	StopAsked struct{ Grace time.Duration }

	// ResyncReceived brings what the peer holds of the chain, as it came: Step
	// checks the signatures inside.
	ResyncReceived struct{ Resync *leasev1.Resync }

	// Challenged, on the worker: a challenge came, and this is what the machine
	// sees of the task right now. Nil evidence means that there is no task yet.
	Challenged struct {
		Challenge statement.Verified[*leasev1.Challenge]
		Evidence  *leasev1.Evidence
	}

	// Acked, on the worker: the requester co-signed a beat.
	Acked struct {
		Ack statement.Verified[*leasev1.Ack]
	}

	// TaskRunning, on the worker: the task started just now.
	TaskRunning struct{}

	// TaskEnded, on the worker: the task ended, its outputs are still being
	// collected. It stops the count of credit; TaskExited must follow.
	TaskEnded struct{ Exit *leasev1.Exit }

	// TaskExited, on the worker: the task ended and its outputs are collected.
	// OutputsDigest is 32 bytes, or empty without outputs.
	TaskExited struct {
		Exit          *leasev1.Exit
		OutputsDigest []byte
		Evidence      *leasev1.Evidence
	}

	// TaskFailed, on the worker: the task could not be started, or was lost.
	// Exit.Error says why.
	TaskFailed struct{ Exit *leasev1.Exit }

	// CloseSigned, on the worker: the requester co-signed our close.
	CloseSigned struct {
		Close statement.Verified[*leasev1.Close]
	}

	// SealReady, on the worker: the seal that ToSeal asked for is made. It says
	// whose it is.
	SealReady struct{ Seal *leasev1.Seal }

	// SealReceived, on the requester: a good seal of the last co-signed beat
	// came. OpenSeal makes it.
	SealReceived struct{ seal *leasev1.Seal }

	// Yield, on the worker: the owner takes the machine back. Without grace the
	// task is killed at once.
	Yield struct{ Grace time.Duration }

	// Hold, on the worker: the owner lets the task stand still for a while, or go on.
	Hold struct{ On bool }

	// Slept, on the worker: the machine was asleep, or off, for a time that grew to
	// Total since some moment of its own. Nothing was served meanwhile. The first one
	// of a lease only says what to count from; hand it in before anything else.
	Slept struct{ Total time.Duration }

	// BeatReceived, on the requester: the worker answered a challenge. Observed
	// is what this side saw of the task by itself; nil when it saw nothing yet.
	BeatReceived struct {
		Beat     statement.Verified[*leasev1.Beat]
		Observed *leasev1.Observation
	}

	// CloseReceived, on the requester: the worker says that the task ended.
	CloseReceived struct {
		Close statement.Verified[*leasev1.Close]
	}

	// NonceReceived, on the worker: a witness wants its nonce in the next beat.
	NonceReceived struct {
		Witness uint32 // its place in the terms
		Nonce   [32]byte
	}

	// Attested: a witness attests to one of the heads. OpenAttest makes it.
	Attested struct {
		attest statement.Verified[*leasev1.Attest]
	}

	// Abandon, on the requester: have nothing more to do with this lease. What
	// was acked stays owed; the worker lapses by itself.
	Abandon struct{}
)

func (Tick) event()           {}
func (StopAsked) event()      {}
func (ResyncReceived) event() {}
func (Challenged) event()     {}
func (Acked) event()          {}
func (TaskRunning) event()    {}
func (TaskEnded) event()      {}
func (TaskExited) event()     {}
func (TaskFailed) event()     {}
func (CloseSigned) event()    {}
func (SealReady) event()      {}
func (SealReceived) event()   {}
func (Yield) event()          {}
func (Hold) event()           {}
func (Slept) event()          {}
func (BeatReceived) event()   {}
func (CloseReceived) event()  {}
func (NonceReceived) event()  {}
func (Attested) event()       {}
func (Abandon) event()        {}
