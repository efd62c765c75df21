package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// A record's body is a version byte, the time as seconds (varint) and
// nanoseconds (uvarint), then key, kind, event, the number of statements and the
// statements, each a uvarint length and its bytes.
const bodyVersion = 1

var errBody = errors.New("the record cannot be read")

// encode is the inverse of decode. ErrTooLarge.
func encode(r Record) ([]byte, error) {
	size := len(r.Key) + len(r.Kind) + len(r.Event)
	for _, s := range r.Statements {
		size += len(s) + binary.MaxVarintLen32
	}
	if size += 64; size > MaxRecord {
		return nil, fmt.Errorf("record of about %d bytes: %w", size, ErrTooLarge)
	}
	b := append(make([]byte, 0, size), bodyVersion)
	b = binary.AppendVarint(b, r.At.Unix())
	b = binary.AppendUvarint(b, uint64(r.At.Nanosecond()))
	b = appendBytes(b, []byte(r.Key))
	b = appendBytes(b, []byte(r.Kind))
	b = appendBytes(b, r.Event)
	b = binary.AppendUvarint(b, uint64(len(r.Statements)))
	for _, s := range r.Statements {
		b = appendBytes(b, s)
	}
	return b, nil
}

func appendBytes(b, field []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

// decode reads one body, all of it. What it gives shares no memory with the body's later use: the caller owns both.
func decode(body []byte) (Record, error) {
	d := decoder{rest: body}
	if v := d.byte(); d.err == nil && v != bodyVersion {
		return Record{}, fmt.Errorf("%w: version %d, written by another version of this program", errBody, v)
	}
	sec, nsec := d.varint(), d.uvarint(math.MaxUint32)
	if nsec >= uint64(time.Second) {
		d.fail("time")
	}
	r := Record{At: time.Unix(sec, int64(nsec)).UTC()}
	r.Key, r.Kind, r.Event = string(d.bytes()), string(d.bytes()), d.bytes()
	for range d.uvarint(uint64(len(d.rest))) { // a statement takes a byte at least
		r.Statements = append(r.Statements, d.bytes())
	}
	if len(d.rest) > 0 {
		d.fail("end")
	}
	if d.err != nil {
		return Record{}, d.err
	}
	return r, nil
}

// decoder reads fields until the first that is wrong; after that it gives zeroes.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: bad %s", errBody, what)
	}
	d.rest = nil
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.fail("version")
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail("number")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > most {
		d.fail("number")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// bytes gives nil for an empty field.
func (d *decoder) bytes() []byte {
	n := d.uvarint(uint64(len(d.rest)))
	if n == 0 {
		return nil
	}
	if n > uint64(len(d.rest)) {
		d.fail("length")
		return nil
	}
	field := d.rest[:n:n]
	d.rest = d.rest[n:]
	return field
}
