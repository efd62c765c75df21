// Package shares keeps what a node gives to whoever knows its digest.
//
// Nothing is shared but what somebody said is: a digest alone is no right to anything.
package shares

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/job/journal"
)

// Most bounds what is shared at a time: each is put into the DHT anew every few minutes.
const Most = 64

var (
	// ErrNone says that nothing of that digest is shared.
	ErrNone = errors.New("not shared")
	// ErrAmbiguous says that the beginning of a digest fits several.
	ErrAmbiguous = errors.New("several shared things begin like that")
	// ErrTooMany says that Most are shared already.
	ErrTooMany = fmt.Errorf("%d things are shared already, and no more can be", Most)
)

// Share is one folder, or one file, that is shared.
type Share struct {
	Manifest string    `json:"manifest"` // its digest
	Name     string    `json:"name"`     // what it was called, for people
	Bytes    uint64    `json:"bytes"`
	Until    time.Time `json:"until,omitzero"` // zero: until it is taken back

	blobs map[string]bool // by digest, the manifest's too
}

// Config is what Shares need.
type Config struct {
	File string // where they are written down
	Now  func() time.Time
	// Digests lists a manifest and all that it names.
	Digests func(manifest string) ([]string, error)
	Log     *slog.Logger
}

// Shares is all that is shared. Its methods may be used concurrently.
type Shares struct {
	Config
	changed chan struct{}

	mu  sync.Mutex
	all []Share // the last one came last
}

// Open reads what was shared from the file, which need not exist.
func Open(c Config) *Shares {
	s := &Shares{Config: c, changed: make(chan struct{}, 1)}
	var was []Share
	b, err := os.ReadFile(c.File)
	if err == nil {
		err = json.Unmarshal(b, &was)
	}
	if err != nil && !os.IsNotExist(err) {
		c.Log.Warn("what was shared is forgotten", "err", err)
	}
	for _, sh := range was {
		if sh.blobs, err = s.digestsOf(sh.Manifest); err != nil {
			c.Log.Warn("no longer shared", "name", sh.Name, "digest", sh.Manifest, "err", err)
			continue
		}
		s.all = append(s.all, sh)
	}
	return s
}

func (s *Shares) digestsOf(manifest string) (map[string]bool, error) {
	all, err := s.Digests(manifest)
	set := make(map[string]bool, len(all))
	for _, d := range all {
		set[d] = true
	}
	return set, err
}

// Add shares something. What is shared already gets the new name and end. ErrTooMany, and
// errors of reading its manifest and of writing it down: then it is not shared.
func (s *Shares) Add(sh Share) (err error) {
	if sh.blobs, err = s.digestsOf(sh.Manifest); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := slices.DeleteFunc(s.live(), func(o Share) bool { return o.Manifest == sh.Manifest })
	if len(rest) >= Most {
		return ErrTooMany
	}
	return s.set(append(rest, sh))
}

// Remove takes something back by the beginning of its digest. ErrNone, ErrAmbiguous.
func (s *Shares) Remove(beginning string) (Share, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Share
	rest := slices.DeleteFunc(s.live(), func(o Share) bool {
		fits := begins(o.Manifest, beginning)
		if fits {
			found = append(found, o)
		}
		return fits
	})
	switch {
	case len(found) == 0:
		return Share{}, fmt.Errorf("%q: %w", beginning, ErrNone)
	case len(found) > 1:
		return Share{}, fmt.Errorf("%q: %w", beginning, ErrAmbiguous)
	}
	return found[0], s.set(rest)
}

func begins(digest, beginning string) bool {
	_, hex, _ := strings.Cut(digest, ":")
	return beginning != "" && (strings.HasPrefix(digest, beginning) || strings.HasPrefix(hex, beginning))
}

// List is what is shared now.
func (s *Shares) List() []Share {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live()
}

// Has says whether a blob is of something that is shared.
func (s *Shares) Has(digest string) bool {
	return slices.ContainsFunc(s.List(), func(sh Share) bool { return sh.blobs[digest] })
}

// Changed gives word when something was shared or taken back; what merely ended is not told of.
func (s *Shares) Changed() <-chan struct{} { return s.changed }

// live is a copy of what has not ended. The caller holds mu.
func (s *Shares) live() []Share {
	now := s.Now()
	return slices.DeleteFunc(slices.Clone(s.all), func(sh Share) bool { return !sh.Until.IsZero() && !now.Before(sh.Until) })
}

// set writes down what is shared from now on. The caller holds mu.
func (s *Shares) set(all []Share) error {
	b, err := json.Marshal(all)
	if err == nil {
		err = journal.WriteFile(s.File, b)
	}
	if err != nil {
		return fmt.Errorf("write down what is shared: %w", err)
	}
	s.all = all
	select {
	case s.changed <- struct{}{}:
	default: // it was told of a change before, and looks anyway
	}
	return nil
}
