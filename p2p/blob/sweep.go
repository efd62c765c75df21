package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	err := filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody else removed it
		}
		digest := "sha256:" + d.Name()
		if err != nil || info.ModTime().After(before) || Check(digest) != nil || keep(digest) {
			return err
		}
		removed++
		return s.Remove(digest)
	})
	if err != nil {
		return removed, fmt.Errorf("sweep blob store: %w", err)
	}
	return removed, nil
}
