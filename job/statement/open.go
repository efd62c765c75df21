package statement

import (
	"crypto/ed25519"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Verified is a statement whose signature was checked. Open is the only way to
// one; the zero value is no statement and its methods give zero values.
type Verified[M proto.Message] struct {
	message M
	signed  *marketv1.Signed
	signer  ed25519.PublicKey
}

// Message is what was said. Treat it as read-only: it is not copied.
func (v Verified[M]) Message() M { return v.message }

// Signed is the statement as it travelled: send these bytes on, no others. What came
// beside type, payload and signature is not in it: nobody signed that, and no file
// that is to verify may hold it.
func (v Verified[M]) Signed() *marketv1.Signed { return v.signed }

// Payload is the signed bytes.
func (v Verified[M]) Payload() []byte { return v.signed.GetPayload() }

// Hash names the payload; that of terms is the lease's id. It does not cover
// the signature.
func (v Verified[M]) Hash() Hash {
	return HashPayload(Type(v.signed.GetType()).tag(), v.Payload())
}

// Signer is the key that signed.
func (v Verified[M]) Signer() ed25519.PublicKey { return v.signer }

// Open checks that s is a statement of type t signed by signer, and decodes
// it: the type, the size, the version, every field known down to the innermost
// message unless the type is extensible, the signature. It says nothing about
// whether the values make sense.
func Open[M proto.Message](s *marketv1.Signed, t Type, signer ed25519.PublicKey) (Verified[M], error) {
	m, err := decode[M](s, t)
	if err == nil {
		err = CheckSignature(s, signer)
	}
	if err != nil {
		return Verified[M]{}, fmt.Errorf("open %s: %w", t, err)
	}
	return Verified[M]{message: m, signed: bare(s), signer: signer}, nil
}

// OpenOffer opens an offer signed by the worker it names.
func OpenOffer(s *marketv1.Signed) (Verified[*marketv1.Offer], error) {
	return openNamed(s, TypeOffer, (*marketv1.Offer).GetWorker)
}

// OpenAnnouncement opens an announcement signed by the requester it names.
func OpenAnnouncement(s *marketv1.Signed) (Verified[*marketv1.Announcement], error) {
	return openNamed(s, TypeAnnouncement, (*marketv1.Announcement).GetRequester)
}

// OpenWithdrawal opens a withdrawal signed by the requester it names.
func OpenWithdrawal(s *marketv1.Signed) (Verified[*marketv1.Withdrawal], error) {
	return openNamed(s, TypeWithdrawal, (*marketv1.Withdrawal).GetRequester)
}

// OpenBid opens a bid signed by the worker it names.
func OpenBid(s *marketv1.Signed) (Verified[*marketv1.Bid], error) {
	return openNamed(s, TypeBid, (*marketv1.Bid).GetWorker)
}

// OpenWorkerTerms opens terms signed by the worker they name.
func OpenWorkerTerms(s *marketv1.Signed) (Verified[*leasev1.Terms], error) {
	return openNamed(s, TypeTerms, (*leasev1.Terms).GetWorker)
}

// OpenRequesterTerms opens terms signed by the requester they name.
func OpenRequesterTerms(s *marketv1.Signed) (Verified[*leasev1.Terms], error) {
	return openNamed(s, TypeTerms, (*leasev1.Terms).GetRequester)
}

// openNamed opens a statement that names its signer itself.
func openNamed[M proto.Message](s *marketv1.Signed, t Type, signer func(M) []byte) (Verified[M], error) {
	m, err := decode[M](s, t)
	if err != nil {
		return Verified[M]{}, fmt.Errorf("open %s: %w", t, err)
	}
	key := ed25519.PublicKey(signer(m))
	if err := CheckSignature(s, key); err != nil {
		return Verified[M]{}, fmt.Errorf("open %s: %w", t, err)
	}
	return Verified[M]{message: m, signed: bare(s), signer: key}, nil
}

// bare is a statement without anything beside it.
func bare(s *marketv1.Signed) *marketv1.Signed {
	return &marketv1.Signed{Type: s.GetType(), Payload: s.GetPayload(), Signature: s.GetSignature()}
}

// decode checks everything but the signature.
func decode[M proto.Message](s *marketv1.Signed, t Type) (M, error) {
	var none M
	if Type(s.GetType()) != t || !t.carries(none) {
		return none, fmt.Errorf("%w: it says %.20q", ErrType, s.GetType())
	}
	if n := len(s.GetPayload()); n == 0 || n > t.MaxSize() {
		return none, fmt.Errorf("%w: %d bytes, limit %d", ErrSize, n, t.MaxSize())
	}
	if len(s.GetSignature()) != ed25519.SignatureSize {
		return none, fmt.Errorf("%w: %d bytes", ErrSignature, len(s.GetSignature()))
	}
	m := none.ProtoReflect().New().Interface().(M)
	if err := proto.Unmarshal(s.GetPayload(), m); err != nil {
		return none, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := checkVersion(m); err != nil || t.Extensible() {
		return m, err
	}
	return m, job.CheckKnown(m)
}

// CheckSignature checks the signature of s alone, over its type and payload.
func CheckSignature(s *marketv1.Signed, signer ed25519.PublicKey) error {
	if err := CheckKey(signer); err != nil {
		return err
	}
	digest := Digest(Type(s.GetType()), s.GetPayload())
	if !ed25519.Verify(signer, digest[:], s.GetSignature()) {
		return ErrSignature
	}
	return nil
}
