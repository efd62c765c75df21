// Package blob keeps content by its digest, on disk and between peers.
//
// Knowing a digest is not a right to the content: every request is put to a
// callback, and content that is refused looks like content that is not there.
package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

var (
	// ErrUnknown says that the content is not here, or not for whoever asks.
	ErrUnknown = errors.New("unknown blob")
	// ErrDigest says that content does not have the digest it was asked for by,
	// or that a digest is not "sha256:" and 64 lower-case hex digits.
	ErrDigest = errors.New("wrong digest")
	// ErrNoSpace says that the disk, or the quota on it, is full.
	ErrNoSpace = errors.New("no space left for blobs")
	// ErrRange says that an offset is beyond the content's end.
	ErrRange = errors.New("offset beyond the end of the blob")
	// ErrTooLarge says that content is larger than its taker allows.
	ErrTooLarge = errors.New("blob too large")
	// ErrExists says that a blob need not be written: it is complete.
	ErrExists = errors.New("blob already there")
)

const algorithm = "sha256:"

// Digest names content: "sha256:" and 64 hex digits.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return FromSum(sum[:])
}

// FromSum makes a digest of a finished SHA-256 sum.
func FromSum(sum []byte) string { return algorithm + hex.EncodeToString(sum) }

// Check says whether a digest is well formed.
func Check(digest string) error {
	_, err := hexOf(digest)
	return err
}

// hexOf is the part that becomes a file name, and is therefore checked.
func hexOf(digest string) (string, error) {
	name, ok := strings.CutPrefix(digest, algorithm)
	if !ok || len(name) != 2*sha256.Size {
		return "", errNoDigest(digest)
	}
	for _, c := range name {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", errNoDigest(digest)
		}
	}
	return name, nil
}

// noSpace gives a full disk its name.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

func errNoDigest(digest string) error {
	return fmt.Errorf("%w: %.80q is not %s and %d lower-case hex digits", ErrDigest, digest, algorithm, 2*sha256.Size)
}
