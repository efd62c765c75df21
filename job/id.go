package job

import (
	"encoding/hex"
	"fmt"
	"io"
)

// ID names one job: 16 random bytes, chosen by its requester.
type ID [16]byte

// NewID takes 16 bytes from rand.
func NewID(rand io.Reader) (ID, error) {
	var id ID
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return ID{}, fmt.Errorf("draw job id: %w", err)
	}
	return id, nil
}

// ParseID reads what String writes: 32 hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	err := parseHex(id[:], "job id", s)
	return id, err
}

// IDFromBytes takes the job_id field of a message.
func IDFromBytes(b []byte) (ID, error) {
	var id ID
	err := copyExact(id[:], "job id", b)
	return id, err
}

// String is the id in lower-case hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short is the first eight digits, for tables and logs.
func (id ID) Short() string { return id.String()[:8] }

// LeaseID names one lease: the hash of the terms both sides signed.
type LeaseID [32]byte

// ParseLeaseID reads what String writes: 64 hexadecimal digits.
func ParseLeaseID(s string) (LeaseID, error) {
	var id LeaseID
	err := parseHex(id[:], "lease id", s)
	return id, err
}

// LeaseIDFromBytes takes the lease_id field of a message.
func LeaseIDFromBytes(b []byte) (LeaseID, error) {
	var id LeaseID
	err := copyExact(id[:], "lease id", b)
	return id, err
}

// String is the id in lower-case hexadecimal.
func (id LeaseID) String() string { return hex.EncodeToString(id[:]) }

// Short is the first eight digits, for tables and logs.
func (id LeaseID) Short() string { return id.String()[:8] }

func parseHex(dst []byte, what, s string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(dst) {
		return fmt.Errorf("parse %s %q: want %d hexadecimal digits", what, CleanText(s), 2*len(dst))
	}
	copy(dst, b)
	return nil
}

func copyExact(dst []byte, what string, b []byte) error {
	if len(b) != len(dst) {
		return fmt.Errorf("%s has %d bytes, not %d", what, len(b), len(dst))
	}
	copy(dst, b)
	return nil
}
