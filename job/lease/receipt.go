package lease

import (
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// Equivocation is the proof that the peer signed two statements for one slot, and
// nil without a fault.
func (l Lease) Equivocation() *leasev1.Equivocation {
	if len(l.proof) != 2 {
		return nil
	}
	return &leasev1.Equivocation{
		Version:                 statement.Version,
		Terms:                   l.Agreement.Payload,
		TermsWorkerSignature:    l.Agreement.WorkerSig,
		TermsRequesterSignature: l.Agreement.RequesterSig,
		First:                   l.proof[0],
		Second:                  l.proof[1],
	}
}

// Receipt is the best receipt there is now: the terms, the last co-signed beat,
// the close once there is one, and what witnesses said. It is nil before the first of these.
func (l Lease) Receipt() *leasev1.Receipt {
	if l.chain.beats == 0 && l.closing.worker == nil {
		return nil
	}
	r := &leasev1.Receipt{
		Version:                 statement.Version,
		Terms:                   l.Agreement.Payload,
		TermsWorkerSignature:    l.Agreement.WorkerSig,
		TermsRequesterSignature: l.Agreement.RequesterSig,
		LastBeat:                l.chain.beat,
		LastAck:                 l.chain.ack,
		Close:                   l.closing.worker.GetPayload(),
		CloseWorkerSignature:    l.closing.worker.GetSignature(),
		CloseRequesterSignature: l.closing.requester.GetSignature(),
	}
	l.witnessed(r)
	return r
}
