package statement

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Every reason to refuse a statement before looking at what it says.
var (
	ErrType         = errors.New("another type of statement")
	ErrSize         = errors.New("payload size out of bounds")
	ErrMalformed    = errors.New("payload is malformed")
	ErrUnknownField = errors.New("payload has an unknown field")
	ErrVersion      = errors.New("unknown version")
	ErrKey          = errors.New("not an acceptable public key")
	ErrSignature    = errors.New("signature does not verify")
)

// maxDepth bounds how deep a payload nests. Ours nest three deep.
const maxDepth = 8

// checkMessage refuses a version that is not ours and any field, at any depth,
// that this program does not know: what is signed without being understood may
// mean anything later.
func checkMessage(m protoreflect.Message) error {
	version := m.Descriptor().Fields().ByName("version")
	if got := m.Get(version).Uint(); got != Version {
		return fmt.Errorf("%w %d", ErrVersion, got)
	}
	return checkKnown(m, maxDepth)
}

func checkKnown(m protoreflect.Message, depth int) (err error) {
	if depth == 0 {
		return fmt.Errorf("%w: nested too deep", ErrMalformed)
	}
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%w in %s", ErrUnknownField, m.Descriptor().Name())
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.IsList() {
			err = checkList(field, value.List(), depth)
		} else {
			err = checkValue(field, value, depth)
		}
		return err == nil
	})
	return err
}

func checkList(field protoreflect.FieldDescriptor, list protoreflect.List, depth int) error {
	for i := range list.Len() {
		if err := checkValue(field, list.Get(i), depth); err != nil {
			return err
		}
	}
	return nil
}

// checkValue goes into messages, and refuses enum numbers without a name. Our
// payloads have no maps: their order in the bytes is not fixed.
func checkValue(field protoreflect.FieldDescriptor, value protoreflect.Value, depth int) error {
	switch {
	case field.IsMap():
		return fmt.Errorf("%w: %s is a map", ErrMalformed, field.Name())
	case field.Message() != nil:
		return checkKnown(value.Message(), depth-1)
	case field.Enum() != nil && field.Enum().Values().ByNumber(value.Enum()) == nil:
		return fmt.Errorf("%w: %s = %d", ErrUnknownField, field.Name(), value.Enum())
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
