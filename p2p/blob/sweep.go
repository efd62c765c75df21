package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Touch says that a blob is wanted now: Sweep spares it for as long as a new one.
// ErrUnknown when it is not here.
func (s *Store) Touch(digest string) error {
	name, err := hexOf(digest)
	if err != nil {
		return err
	}
	now := time.Now()
	err = os.Chtimes(s.path(name), now, now)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrUnknown, digest)
	}
	return err
}

// Sweep removes blobs, whole and partial, that are older than age and that keep
// does not want, and says how many.
func (s *Store) Sweep(age time.Duration, keep func(digest string) bool) (int, error) {
	before, removed := time.Now().Add(-age), 0
	all, err := s.List()
	if err != nil {
		return 0, err
	}
	for _, k := range all {
		if k.Used.After(before) || keep(k.Digest) {
			continue
		}
		gone, err := s.Discard(k.Digest, before)
		if err != nil {
			return removed, fmt.Errorf("sweep blob store: %w", err)
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}
