package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Kept is a blob that a store has, whole or in part.
type Kept struct {
	Digest string
	Size   int64     // bytes that are here
	Used   time.Time // when it was last written or touched
}

// List tells what the store has.
func (s *Store) List() ([]Kept, error) {
	var all []Kept
	err := filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody else removed it
		}
		if digest := algorithm + d.Name(); err == nil && Check(digest) == nil {
			all = append(all, Kept{Digest: digest, Size: info.Size(), Used: info.ModTime()})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list blob store: %w", err)
	}
	return all, nil
}

// Discard removes a blob, whole or partial, unless it is being written or was used after the
// given time. It says whether it did.
func (s *Store) Discard(digest string, unusedSince time.Time) (bool, error) {
	name, err := hexOf(digest)
	if err != nil {
		return false, err
	}
	s.mu.Lock() // nobody begins to write meanwhile
	defer s.mu.Unlock()
	if s.writing[name] != nil {
		return false, nil
	}
	for _, p := range []string{s.path(name), s.partial(name)} {
		if info, err := os.Stat(p); err == nil && info.ModTime().After(unusedSince) {
			return false, nil
		}
	}
	return true, s.Remove(digest)
}
