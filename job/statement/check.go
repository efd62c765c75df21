package statement

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Every reason to refuse a statement before looking at what it says, beside
// job.ErrUnknownField.
var (
	ErrType      = errors.New("another type of statement")
	ErrSize      = errors.New("payload size out of bounds")
	ErrMalformed = errors.New("payload is malformed")
	ErrVersion   = errors.New("unknown version")
	ErrKey       = errors.New("not an acceptable public key")
	ErrSignature = errors.New("signature does not verify")
)

// checkVersion refuses a version that is not ours.
func checkVersion(m proto.Message) error {
	r := m.ProtoReflect()
	if got := r.Get(r.Descriptor().Fields().ByName("version")).Uint(); got != Version {
		return fmt.Errorf("%w %d", ErrVersion, got)
	}
	return nil
}

// CheckKey refuses what is not the length of an Ed25519 key, the keys of small order,
// for which anybody can make a signature that verifies, and a second way to write a key,
// which not every verifier takes.
func CheckKey(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: %d bytes", ErrKey, len(key))
	}
	y := [ed25519.PublicKeySize]byte(key)
	y[31] &= 0x7f // the sign of x
	if smallOrder[y] {
		return fmt.Errorf("%w: of small order", ErrKey)
	}
	if y[31] == 0x7f && y[0] >= 0xed && bytes.Count(y[1:31], []byte{0xff}) == 30 {
		return fmt.Errorf("%w: not below 2^255 - 19", ErrKey)
	}
	return nil
}
