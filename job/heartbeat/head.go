// Package heartbeat is the arithmetic of the chain that worker and requester
// co-sign: heads, the tree over them, evidence, and what a well-formed
// challenge, beat, ack and close look like.
//
// It knows one message at a time. Which message may follow which is package
// lease; what the whole proves to others is package receipt.
package heartbeat

import (
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"

	"github.com/rigmesh/rigmesh/job/statement"
)

// Head0 is the head of a lease before its first beat. It cannot be known
// before both sides have signed the terms, so a first challenge that names it
// proves that the requester holds the worker's signature.
func Head0(terms, workerSig, requesterSig []byte) statement.Hash {
	id := statement.LeaseID(terms)
	return statement.H("head0", id[:], workerSig, requesterSig)
}

// NextHead is the head after one co-signed beat. The head before it is inside
// the beat, as prev_head. Both signatures are in it: a third party that knows
// the head knows that both had signed.
func NextHead(beat, ack *marketv1.Signed) statement.Hash {
	b := statement.HashPayload(string(statement.TypeBeat), beat.GetPayload())
	a := statement.HashPayload(string(statement.TypeAck), ack.GetPayload())
	return statement.H("head", b[:], beat.GetSignature(), a[:], ack.GetSignature())
}
