// Package statement gives the exact bytes of everything that rigmesh signs:
// how a message becomes a signed statement, and the one way back.
//
// A payload is marshalled once, when it is signed, and travels verbatim after
// that. Nothing ever marshals it again to check it. A [Verified] value exists
// only after [Open] checked type, size, fields, version and signature, so a
// function that takes one need not ask again who said it.
package statement

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Version is the only version of payloads there is.
const Version = 1

// Type says what kind of statement a payload is. It is part of what is signed.
type Type string

// The statements of the market, then those of a lease.
const (
	TypeOffer        Type = "offer"
	TypeAnnouncement Type = "announcement"
	TypeWithdrawal   Type = "withdrawal"
	TypeBid          Type = "bid"
	TypeTerms        Type = "terms"
	TypeChallenge    Type = "challenge"
	TypeBeat         Type = "beat"
	TypeAck          Type = "ack"
	TypeClose        Type = "close"
	TypeAttest       Type = "attest"
)

// kind is what this package knows of one type.
type kind struct {
	message proto.Message
	maxSize int // of the payload, in bytes
	// extensible says that a later version may have fields more, which this one passes over. What
	// both sides sign, or what proves something later, is understood whole or refused.
	extensible bool
}

var kinds = map[Type]kind{
	TypeOffer:        {(*marketv1.Offer)(nil), 8192, true},
	TypeAnnouncement: {(*marketv1.Announcement)(nil), 2048, true},
	TypeWithdrawal:   {(*marketv1.Withdrawal)(nil), 256, true},
	TypeBid:          {(*marketv1.Bid)(nil), 8192, true},
	TypeTerms:        {(*leasev1.Terms)(nil), 4096, false},
	TypeChallenge:    {(*leasev1.Challenge)(nil), 1024, false},
	TypeBeat:         {(*leasev1.Beat)(nil), 2048, false},
	TypeAck:          {(*leasev1.Ack)(nil), 512, false},
	TypeClose:        {(*leasev1.Close)(nil), 2048, false},
	TypeAttest:       {(*leasev1.Attest)(nil), 512, false},
}

// Types lists every type there is, in the order of a lease's life.
func Types() []Type {
	return []Type{TypeOffer, TypeAnnouncement, TypeWithdrawal, TypeBid, TypeTerms, TypeChallenge, TypeBeat, TypeAck, TypeClose, TypeAttest}
}

// Extensible says whether payloads of the type may have fields that this program does not know.
func (t Type) Extensible() bool { return kinds[t].extensible }

// MaxSize is the largest payload of a type in bytes, and 0 for no type of ours.
func (t Type) MaxSize() int { return kinds[t].maxSize }

// New is an empty message of the type, and nil for no type of ours.
func (t Type) New() proto.Message {
	k, ok := kinds[t]
	if !ok {
		return nil
	}
	return k.message.ProtoReflect().New().Interface()
}

// carries says whether payloads of the type hold messages like m.
func (t Type) carries(m proto.Message) bool {
	k, ok := kinds[t]
	return ok && name(k.message) == name(m)
}

// tag is what payloads of the type are hashed under. The hash of terms has a
// name of its own, because it names a lease.
func (t Type) tag() string {
	if t == TypeTerms {
		return "lease"
	}
	return string(t)
}

func name(m proto.Message) protoreflect.FullName {
	return m.ProtoReflect().Descriptor().FullName()
}
