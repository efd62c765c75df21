package vectors

import (
	"bytes"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// schema is the fields of each message that this verifier needs to know: "v" a number,
// "b" bytes, "s" text, another name a message of that name; with a star as often as it
// comes. An enum is a number with how many names it has.
var schema = map[string]map[protowire.Number]string{
	"Receipt":      {1: "v", 2: "b", 3: "b", 4: "b", 5: "Signed", 6: "Signed", 7: "b", 8: "b", 9: "b", 11: "Witnessed*", 12: "b*"},
	"Witnessed":    {1: "b", 2: "b", 3: "v*"},
	"Signed":       {1: "s", 2: "b", 3: "b"},
	"Whole":        {1: "v", 2: "Receipt", 3: "Chain", 4: "Signed", 5: "Opened*"},
	"Chain":        {1: "Link*", 2: "Seal"},
	"Link":         {1: "Signed", 2: "Signed", 3: "Seal"},
	"Seal":         {1: "b", 2: "v", 3: "b", 4: "b", 5: "v"},
	"Opened":       {1: "v", 2: "b*"},
	"Equivocation": {1: "v", 2: "b", 3: "b", 4: "b", 5: "Signed", 6: "Signed"},
	"Terms": {
		1: "v", 2: "s", 3: "b", 4: "b", 5: "b", 6: "b", 7: "b", 8: "b*", 9: "v", 10: "v", 11: "v", 12: "v", 13: "v", 14: "v", 15: "v", 16: "v",
		17: "v", 18: "v", 19: "v", 20: "b*", 21: "v", 22: "b", 23: "s", 24: "s", 25: "v", 26: "v", 27: "v", 28: "v", 29: "v",
	},
	"Beat":   {1: "v", 2: "b", 3: "v", 4: "v", 5: "b", 6: "b", 7: "b", 9: "v", 10: "Evidence", 11: "b", 12: "v", 13: "v", 14: "v", 15: "b"},
	"Ack":    {1: "v", 2: "b", 3: "v", 4: "v", 5: "b", 6: "e3", 8: "v", 9: "v", 10: "v", 11: "Observation", 12: "e8*"},
	"Close":  {1: "v", 2: "b", 3: "v", 4: "b", 5: "v", 6: "v", 7: "Exit", 8: "b", 9: "e6", 10: "b", 11: "v", 12: "b", 13: "Evidence"},
	"Attest": {1: "v", 2: "b", 3: "v", 4: "v", 5: "v", 6: "b", 7: "b", 8: "v", 9: "v", 10: "v", 11: "v", 12: "v", 13: "b"},
	"Exit":   {1: "v", 2: "v", 3: "v", 4: "v", 5: "v", 6: "s", 7: "v"},
	"Evidence": {
		1: "s", 2: "s", 3: "v", 4: "v", 5: "v", 6: "v", 7: "v", 8: "v", 9: "b", 10: "DeviceEvidence",
	},
	"DeviceEvidence": {1: "b", 2: "s", 3: "v", 4: "v", 5: "v", 6: "v", 7: "v", 8: "v", 9: "v", 10: "v", 11: "v", 12: "b", 13: "v", 14: "v"},
	"Observation":    {1: "v", 2: "v", 3: "v", 4: "v"},
}

// message is the fields of a message, each with what came for it in order.
type message map[protowire.Number][]any

// parse reads a message. A canonical one has its fields in ascending order, numbers in
// their shortest form and packed when they come often, and nothing that is empty.
func parse(name string, b []byte, canonical bool) message {
	m, last := message{}, protowire.Number(0)
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		must(n > 0, name+": malformed")
		kind, known := schema[name][number]
		must(known, name+": unknown field")
		must(!canonical || n == protowire.SizeTag(number) && number >= last, name+": order")
		many := kind[len(kind)-1] == '*'
		must(!canonical || number != last || many, name+": a field twice")
		last, b = number, b[n:]
		var v any
		v, b = value(name, kind, wire, b, canonical)
		if list, packed := v.([]any); packed {
			m[number] = append(m[number], list...)
			continue
		}
		must(!canonical || many || v != any(uint64(0)), name+": a zero")
		if raw, ok := v.([]byte); ok {
			must(!canonical || many || len(raw) > 0, name+": an empty field")
		}
		if !many {
			m[number] = nil // the last one counts
		}
		m[number] = append(m[number], v)
	}
	return m
}

func value(name, kind string, wire protowire.Type, b []byte, canonical bool) (v any, rest []byte) {
	number := kind[0] == 'v' || kind[0] == 'e'
	if number && wire == protowire.VarintType {
		must(!canonical || kind[len(kind)-1] != '*', name+": not packed")
		return varint(name, kind, &b, canonical), b
	}
	must(wire == protowire.BytesType, name+": wire type")
	raw, n := protowire.ConsumeBytes(b)
	must(n > 0, name+": malformed")
	must(!canonical || n == protowire.SizeBytes(len(raw)), name+": length")
	b = b[n:]
	switch {
	case number:
		list := []any{}
		for len(raw) > 0 {
			list = append(list, varint(name, kind, &raw, canonical))
		}
		return list, b
	case kind[0] == 's':
		must(utf8.Valid(raw), name+": text")
		return raw, b
	case kind[0] == 'b':
		return raw, b
	}
	return parse(string(bytes.TrimRight([]byte(kind), "*")), raw, canonical), b
}

func varint(name, kind string, b *[]byte, canonical bool) uint64 {
	v, n := protowire.ConsumeVarint(*b)
	must(n > 0, name+": malformed")
	must(!canonical || n == protowire.SizeVarint(v), name+": number")
	must(kind[0] != 'e' || v < uint64(kind[1]-'0'), name+": unnamed value")
	*b = (*b)[n:]
	return v
}

func (m message) num(n protowire.Number) uint64 {
	if len(m[n]) == 0 {
		return 0
	}
	return m[n][0].(uint64)
}

// time is a field of type int64.
func (m message) time(n protowire.Number) int64 { return int64(m.num(n)) }

func (m message) raw(n protowire.Number) []byte {
	if len(m[n]) == 0 {
		return nil
	}
	return m[n][0].([]byte)
}

func (m message) sub(n protowire.Number) message {
	if len(m[n]) == 0 {
		return nil
	}
	return m[n][0].(message)
}

func (m message) subs(n protowire.Number) (all []message) {
	for _, v := range m[n] {
		all = append(all, v.(message))
	}
	return all
}

func (m message) raws(n protowire.Number) (all [][]byte) {
	for _, v := range m[n] {
		all = append(all, v.([]byte))
	}
	return all
}
