package golden

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// full gives messages of a type with every field set: one for each choice of its oneof.
func full(of protoreflect.MessageDescriptor) []proto.Message {
	choices := 1
	for i := range of.Oneofs().Len() {
		choices = max(choices, of.Oneofs().Get(i).Fields().Len())
	}
	var all []proto.Message
	for choice := range choices {
		f := filler{choice: choice}
		kind, err := protoregistry.GlobalTypes.FindMessageByName(of.FullName())
		if err != nil {
			panic(err) // its file is registered
		}
		m := kind.New()
		f.fill(m, 0)
		all = append(all, m.Interface())
	}
	return all
}

// deepest is how far messages are filled inside messages.
const deepest = 1

// filler sets fields, each to another value, so that two which were mixed up are noticed.
type filler struct {
	choice int
	last   int
}

func (f *filler) fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if in := field.ContainingOneof(); in != nil && in.Fields().Get(f.choice%in.Fields().Len()) != field {
			continue
		}
		switch {
		case field.Message() != nil && depth == deepest:
		case field.IsList():
			list := m.Mutable(field).List()
			list.Append(f.value(field, list.NewElement, depth))
			if field.Message() == nil {
				list.Append(f.value(field, list.NewElement, depth))
			}
		default:
			m.Set(field, f.value(field, func() protoreflect.Value { return m.NewField(field) }, depth))
		}
	}
}

// value is the next one of a field's kind; blank makes an empty message of it.
func (f *filler) value(field protoreflect.FieldDescriptor, blank func() protoreflect.Value, depth int) protoreflect.Value {
	f.last++
	n := 1000 + f.last // of two bytes or more
	switch field.Kind() {
	case protoreflect.MessageKind:
		v := blank()
		f.fill(v.Message(), depth+1)
		return v
	case protoreflect.EnumKind:
		names := field.Enum().Values()
		return protoreflect.ValueOfEnum(names.Get(1 + f.last%max(1, names.Len()-1)).Number())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s %d", field.Name(), n))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{byte(n >> 8), byte(n)})
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	default:
		return number(field.Kind(), n)
	}
}

// number is n as a field of a kind takes it.
func number(kind protoreflect.Kind, n int) protoreflect.Value {
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(int64(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(n))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(n))
	default:
		return protoreflect.ValueOfUint64(uint64(n))
	}
}
