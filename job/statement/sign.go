package statement

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/rigmesh/rigmesh/job"
	marketv1 "github.com/rigmesh/rigmesh/proto/market/v1"
)

// Marshal gives the bytes of a message that is about to be signed, or whose
// digest is about to be. Use it once per message and keep the bytes.
func Marshal(m proto.Message) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("marshal %s: %w", name(m), err)
	}
	return b, nil
}

// Sign marshals a message and signs it as a statement of type t. It refuses
// what Open would refuse on the other side.
func Sign(key ed25519.PrivateKey, t Type, m proto.Message) (*marketv1.Signed, error) {
	payload, err := Payload(t, m)
	if err != nil {
		return nil, err
	}
	return SignPayload(key, t, payload), nil
}

// Payload gives the bytes to sign of a message of type t, and the same errors
// as Sign.
func Payload(t Type, m proto.Message) ([]byte, error) {
	if !t.carries(m) {
		return nil, fmt.Errorf("sign %s as %q: %w", name(m), t, ErrType)
	}
	if err := errors.Join(checkVersion(m), job.CheckKnown(m)); err != nil {
		return nil, fmt.Errorf("sign %s: %w", t, err)
	}
	payload, err := Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(payload) > t.MaxSize() {
		return nil, fmt.Errorf("sign %s of %d bytes, limit %d: %w", t, len(payload), t.MaxSize(), ErrSize)
	}
	return payload, nil
}

// SignPayload signs bytes as they are: to countersign terms or a close, where
// both sides sign one payload. The caller has checked what is in it.
func SignPayload(key ed25519.PrivateKey, t Type, payload []byte) *marketv1.Signed {
	digest := Digest(t, payload)
	return &marketv1.Signed{Type: string(t), Payload: payload, Signature: ed25519.Sign(key, digest[:])}
}

// Digest is what a signature is over. Ed25519 hashes once more inside: this is
// plain Ed25519 over 32 bytes, not Ed25519ph.
func Digest(t Type, payload []byte) Hash {
	h := sha256.New()
	h.Write([]byte(domain + string(t) + "\x00"))
	h.Write(payload)
	return Hash(h.Sum(nil))
}
