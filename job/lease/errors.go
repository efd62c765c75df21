package lease

import "errors"

// Why an event is refused. A refused event changes nothing.
var (
	ErrTerms          = errors.New("terms cannot be followed")
	ErrEnded          = errors.New("the lease has ended")
	ErrRole           = errors.New("the event is for the other side")
	ErrOutOfOrder     = errors.New("the event does not fit the state")
	ErrSigner         = errors.New("signed by somebody else")
	ErrLease          = errors.New("statement of another lease")
	ErrStale          = errors.New("nothing new")
	ErrClosedInterval = errors.New("interval closed")
	ErrFutureInterval = errors.New("interval has not begun")
	ErrSeq            = errors.New("wrong sequence number")
	ErrHead           = errors.New("does not extend the chain")
	ErrChallenge      = errors.New("answers another challenge")
	ErrTree           = errors.New("wrong tree root")
	ErrCredit         = errors.New("more credit than time passed, or less than agreed")
	ErrAmount         = errors.New("amount is not what the credit costs")
	ErrAck            = errors.New("acknowledges another beat")
	ErrClose          = errors.New("another close than ours")
	ErrSeal           = errors.New("not a seal of the last co-signed beat")
	ErrWitness        = errors.New("not of a witness of this lease")
	ErrAttest         = errors.New("attests to other credit than was co-signed")
	ErrReplay         = errors.New("replay differs from the journal")
)
