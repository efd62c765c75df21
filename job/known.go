package job

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// ErrUnknownField is what CheckKnown returns.
var ErrUnknownField = errors.New("unknown field")

// CheckKnown refuses a message with a field that this program does not know, at any
// depth, or with a number of an enum that has no name: what is agreed to without being
// understood may mean anything later.
func CheckKnown(m proto.Message) error { return checkKnown(m.ProtoReflect()) }

func checkKnown(m protoreflect.Message) (err error) {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("%w in %s", ErrUnknownField, m.Descriptor().Name())
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if !field.IsList() {
			err = checkKnownValue(field, value)
			return err == nil
		}
		for i := range value.List().Len() {
			if err = checkKnownValue(field, value.List().Get(i)); err != nil {
				return false
			}
		}
		return true
	})
	return err
}

// checkKnownValue goes into messages. Ours have no maps: their order in the bytes is not
// fixed.
func checkKnownValue(field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	switch {
	case field.IsMap():
		return fmt.Errorf("%w: %s is a map", ErrUnknownField, field.Name())
	case field.Message() != nil:
		return checkKnown(value.Message())
	case field.Enum() != nil && field.Enum().Values().ByNumber(value.Enum()) == nil:
		return fmt.Errorf("%w: %s = %d", ErrUnknownField, field.Name(), value.Enum())
	}
	return nil
}
