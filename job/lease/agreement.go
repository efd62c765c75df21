package lease

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/heartbeat"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Agreement is the terms with both signatures over the one payload.
type Agreement struct {
	Terms        *leasev1.Terms
	Payload      []byte
	WorkerSig    []byte
	RequesterSig []byte
}

// NewAgreement checks that both sides named in the terms signed the same
// payload. Whether the terms make sense is for package job and for New.
func NewAgreement(worker, requester *marketv1.Signed) (Agreement, error) {
	w, err := statement.OpenWorkerTerms(worker)
	if err != nil {
		return Agreement{}, fmt.Errorf("worker's signature: %w", err)
	}
	r, err := statement.OpenRequesterTerms(requester)
	if err != nil {
		return Agreement{}, fmt.Errorf("requester's signature: %w", err)
	}
	if !bytes.Equal(w.Payload(), r.Payload()) {
		return Agreement{}, fmt.Errorf("the two sides signed different terms: %w", ErrTerms)
	}
	return Agreement{
		Terms:        w.Message(),
		Payload:      w.Payload(),
		WorkerSig:    worker.GetSignature(),
		RequesterSig: requester.GetSignature(),
	}, nil
}

// Signed is the terms as one side signed them.
func (a Agreement) Signed(r Role) *marketv1.Signed {
	s := &marketv1.Signed{Type: string(statement.TypeTerms), Payload: a.Payload, Signature: a.WorkerSig}
	if r == Requester {
		s.Signature = a.RequesterSig
	}
	return s
}

// ID names the lease.
func (a Agreement) ID() statement.Hash { return statement.LeaseID(a.Payload) }

// Key is the public key of one side.
func (a Agreement) Key(r Role) ed25519.PublicKey {
	if r == Worker {
		return a.Terms.GetWorker()
	}
	return a.Terms.GetRequester()
}

func (a Agreement) head0() statement.Hash {
	return heartbeat.Head0(a.Payload, a.WorkerSig, a.RequesterSig)
}
