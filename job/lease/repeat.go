package lease

import marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

// Repeats says whether all that an event of the peer brought about is to say again what
// this side has said before, or to show what it holds: nothing of that need be recorded,
// and whoever repeats itself does not make the journal grow. Ask the lease as it was
// before the event, about the one after it.
func (l Lease) Repeats(ev Event, next Lease, effects []Effect) bool {
	switch ev.(type) {
	case Challenged, BeatReceived, CloseReceived:
	default:
		return false // others change what later steps do
	}
	if next.worker.floor != l.worker.floor {
		return false // for what it forgot it must not sign, whatever comes
	}
	for _, ef := range effects {
		switch ef := ef.(type) {
		case SendResync:
		case Send:
			if !l.said(ef.Statement) {
				return false
			}
		default:
			return false
		}
	}
	return len(effects) > 0
}

// said is about the statements of ours that are sent again: they are in the journal.
func (l Lease) said(s *marketv1.Signed) bool {
	switch s {
	case l.worker.slot.beat, l.closing.worker, l.closing.requester, l.chain.ack:
		return s != nil
	}
	return false
}
