// Package receipt turns the end of a lease into a file that anyone can check,
// offline and years later, with nothing but the file and this program.
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

	"github.com/rigmesh/rigmesh/job/statement"
)

// A file is magic, one marshalled Receipt, and the SHA-256 of all before it.
// The sum is against broken disks: it tells damage from forgery, and proves
// nothing, because anybody can make it. The signatures inside do.
const magic = "rigmesh\x01"

// MaxSize is the largest file in bytes.
const MaxSize = 16 << 10

// What is wrong with a file before its signatures are looked at.
var (
	ErrNotReceipt = errors.New("not a rigmesh receipt")
	ErrDamaged    = errors.New("the file is damaged")
	ErrForm       = errors.New("not written the one way a receipt is written")
)

// Marshal gives the file of a receipt. It does not verify it.
func Marshal(r *leasev1.Receipt) ([]byte, error) {
	b, err := statement.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(magic)+len(b)+sha256.Size > MaxSize {
		return nil, fmt.Errorf("receipt of %d bytes: %w", len(b), statement.ErrSize)
	}
	return summed(append([]byte(magic), b...)), nil
}

func summed(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// Parse reads a file back, whole and undamaged. It does not verify signatures.
func Parse(file []byte) (*leasev1.Receipt, error) {
	if len(file) < len(magic) || string(file[:len(magic)]) != magic {
		return nil, ErrNotReceipt
	}
	if len(file) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrForm, len(file), MaxSize)
	}
	body := len(file) - sha256.Size
	if body < len(magic) || !bytes.Equal(summed(bytes.Clone(file[:body])), file) {
		return nil, fmt.Errorf("%w: its checksum does not fit, so it was cut short or changed", ErrDamaged)
	}
	return parse(file[len(magic):body])
}

// parse accepts one encoding of a receipt only, so that no byte of a file is
// free to change: fields in order, numbers in their shortest form, nothing
// unknown.
func parse(b []byte) (*leasev1.Receipt, error) {
	r := &leasev1.Receipt{}
	if err := proto.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	again, err := statement.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(r.ProtoReflect().GetUnknown()) > 0 || !bytes.Equal(b, again) {
		return nil, ErrForm
	}
	if r.GetVersion() != statement.Version {
		return nil, fmt.Errorf("%w %d", statement.ErrVersion, r.GetVersion())
	}
	return r, nil
}
