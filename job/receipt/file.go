// Package receipt turns the end of a lease into a file that anyone can check,
// offline and years later, with nothing but the file and this program. Two more
// kinds of files stand beside it: the whole lease behind a receipt, and the proof
// that somebody signed two things for one slot.
//
// A receipt shows at least what it says. It does not show that nothing came
// after it: whoever holds a longer one of the same lease may leave its end away.
package receipt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	leasev1 "github.com/rigmesh/rigmesh/proto/lease/v1"

	"github.com/rigmesh/rigmesh/job"
	"github.com/rigmesh/rigmesh/job/statement"
)

// Kind is what a file holds.
type Kind uint8

// The kinds of files. The number is the last byte of a file's magic.
const (
	KindNone         Kind = iota
	KindReceipt           // one Receipt
	KindWhole             // one Whole: a receipt with all that stands behind it
	KindEquivocation      // one Equivocation
)

// A file is magic, the kind, one marshalled message, and the SHA-256 of all
// before it. The sum is against broken disks: it tells damage from forgery, and
// proves nothing, because anybody can make it. The signatures inside do.
const magic = "rigmesh"

// The largest files in bytes.
const (
	MaxSize      = job.MaxReceipt // of a receipt, or an equivocation
	MaxWholeSize = 256 << 20      // of a whole lease: 90 days with samples of one device
)

// What is wrong with a file before its signatures are looked at.
var (
	ErrNotReceipt = errors.New("not a rigmesh receipt")
	ErrDamaged    = errors.New("the file is damaged")
	ErrForm       = errors.New("not written the one way a receipt is written")
)

// KindOf says what a file claims to be by how it begins.
func KindOf(file []byte) Kind {
	if len(file) <= len(magic) || string(file[:len(magic)]) != magic || Kind(file[len(magic)]) > KindEquivocation {
		return KindNone
	}
	return Kind(file[len(magic)])
}

// maxSize is the largest file of a kind in bytes.
func (k Kind) maxSize() int {
	if k == KindWhole {
		return MaxWholeSize
	}
	return MaxSize
}

// Marshal gives the file of a receipt. It does not verify it.
func Marshal(r *leasev1.Receipt) ([]byte, error) { return pack(KindReceipt, r) }

// MarshalWhole gives the file of a whole lease. It does not verify it.
func MarshalWhole(w *leasev1.Whole) ([]byte, error) { return pack(KindWhole, w) }

// MarshalEquivocation gives the file of an equivocation. It does not verify it.
func MarshalEquivocation(e *leasev1.Equivocation) ([]byte, error) { return pack(KindEquivocation, e) }

func pack(k Kind, m proto.Message) ([]byte, error) {
	b, err := statement.Marshal(m)
	if err != nil {
		return nil, err
	}
	size := len(magic) + 1 + len(b) + sha256.Size
	if size > k.maxSize() {
		return nil, fmt.Errorf("file of %d bytes, limit %d: %w", size, k.maxSize(), statement.ErrSize)
	}
	file := make([]byte, 0, size)
	file = append(append(append(file, magic...), byte(k)), b...)
	sum := sha256.Sum256(file)
	return append(file, sum[:]...), nil
}

// Parse reads a receipt's file back, whole and undamaged. It does not verify signatures.
func Parse(file []byte) (*leasev1.Receipt, error) {
	r := &leasev1.Receipt{}
	return r, unpack(KindReceipt, file, r)
}

// ParseWhole reads the file of a whole lease back. It does not verify signatures.
func ParseWhole(file []byte) (*leasev1.Whole, error) {
	w := &leasev1.Whole{}
	return w, unpack(KindWhole, file, w)
}

// ParseEquivocation reads the file of an equivocation back. It does not verify signatures.
func ParseEquivocation(file []byte) (*leasev1.Equivocation, error) {
	e := &leasev1.Equivocation{}
	return e, unpack(KindEquivocation, file, e)
}

// unpack accepts one encoding of a message only, so that no byte of a file is
// free to change: fields in order, numbers in their shortest form, nothing
// unknown.
func unpack(k Kind, file []byte, m interface {
	proto.Message
	GetVersion() uint32
}) error {
	if len(file) == 0 {
		return fmt.Errorf("%w: it is empty", ErrNotReceipt)
	}
	if KindOf(file) != k {
		return ErrNotReceipt
	}
	if len(file) > k.maxSize() {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrForm, len(file), k.maxSize())
	}
	begin, end := len(magic)+1, len(file)-sha256.Size
	if end < begin || sha256.Sum256(file[:end]) != [sha256.Size]byte(file[end:]) {
		return fmt.Errorf("%w: its checksum does not fit, so it was cut short or changed", ErrDamaged)
	}
	if err := proto.Unmarshal(file[begin:end], m); err != nil {
		return fmt.Errorf("%w: %w", ErrForm, err)
	}
	again, err := statement.Marshal(m)
	if err != nil {
		return err
	}
	if !bytes.Equal(file[begin:end], again) || job.CheckKnown(m) != nil {
		return ErrForm
	}
	if m.GetVersion() != statement.Version {
		return fmt.Errorf("%w %d", statement.ErrVersion, m.GetVersion())
	}
	return nil
}
