package keeper

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/rigmesh/rigmesh/gpu"
	"github.com/rigmesh/rigmesh/job/journal"
)

const (
	// restoreTimeout bounds putting all settings back.
	restoreTimeout = 60 * time.Second
	// againEvery is how often a limit is set that a card does not keep.
	againEvery = 30 * time.Second
)

// setting is a power limit that this node changed, in milliwatts.
type setting struct {
	Before uint32 `json:"before_mw"` // what it was; what it will be again
	Now    uint32 `json:"now_mw"`    // what we set, or were about to set
}

// settings remembers on disk what was changed, before it is: whoever comes after
// a crash can put it back.
type settings struct {
	file string
	wake chan struct{}
	now  func() time.Time
	log  *slog.Logger

	guard   func() (release func(), err error)
	guarded func()     // ends what guard began; nil while nothing is changed
	mu      sync.Mutex // one change at a time
	of      map[string]setting
	set     map[string]time.Time // when a limit was last changed, by us
}

func openSettings(file string, now func() time.Time) (*settings, error) {
	s := &settings{file: file, now: now, wake: make(chan struct{}, 1), of: map[string]setting{}, set: map[string]time.Time{}}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s.of)
	}
	if err != nil {
		return nil, fmt.Errorf("settings of cards that were changed: %w", err)
	}
	return s, nil
}

func (s *settings) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *settings) save() error {
	b, err := json.Marshal(s.of)
	if err != nil {
		return err
	}
	return journal.WriteFile(s.file, append(b, '\n'))
}

// limit makes a device's power limit what is wanted; 0: what it was before us. What
// that is, its newest reading says, unless that is older than our own last change.
func (s *settings) limit(ctx context.Context, src Source, read gpu.Sample, want uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	uuid, current := read.UUID, setOn(read)
	if !read.At.After(s.set[uuid]) {
		current = 0
	}
	had, changed := s.of[uuid]
	switch {
	case read.At.IsZero(), want == 0 && !changed, changed && had.Now == want && !s.lost(read, want), !changed && current == want:
		return nil
	case want == 0:
		return s.putBack(ctx, src, uuid, had)
	case !changed && current == 0:
		return nil // not read yet: what to put back is not known
	case !changed:
		had.Before = current
	}
	s.beGuarded()
	s.of[uuid] = setting{Before: had.Before, Now: want}
	if err := s.save(); err != nil {
		s.of[uuid] = had
		if !changed {
			delete(s.of, uuid)
		}
		return fmt.Errorf("remember the power limit of %s: %w", uuid, err)
	}
	err := src.SetPowerLimit(ctx, uuid, want)
	s.set[uuid] = s.now()
	if err != nil {
		s.of[uuid] = setting{Before: had.Before} // try again, and put back in any case
		return fmt.Errorf("limit the power of %s to %d W: %w", uuid, want/1000, err)
	}
	return nil
}

// setOn is the limit that a card was given. Where it does not say, that is taken to be the
// one that holds, which is less while something else holds the card down.
func setOn(read gpu.Sample) uint32 { return cmp.Or(read.PowerSetting, read.PowerLimit) }

// lost says whether a card has a higher limit than we set a while ago: its driver was loaded
// anew, say. The caller holds mu.
func (s *settings) lost(read gpu.Sample, want uint32) bool {
	return setOn(read) > want && read.At.Sub(s.set[read.UUID]) >= againEvery
}

// putBack is for the holder of mu.
func (s *settings) putBack(ctx context.Context, src Source, uuid string, had setting) error {
	err := src.SetPowerLimit(ctx, uuid, had.Before)
	s.set[uuid] = s.now()
	if err != nil {
		return fmt.Errorf("put the power limit of %s back to %d W: %w", uuid, had.Before/1000, err)
	}
	delete(s.of, uuid)
	if err := s.save(); err != nil {
		s.of[uuid] = had
		return fmt.Errorf("forget the power limit of %s: %w", uuid, err)
	}
	if len(s.of) == 0 && s.guarded != nil {
		s.guarded()
		s.guarded = nil
	}
	return nil
}

// beGuarded has somebody watch over what is about to be changed. Without that, only
// the next start would put it back.
func (s *settings) beGuarded() {
	if s.guard == nil || s.guarded != nil {
		return
	}
	release, err := s.guard()
	if err != nil {
		s.log.Warn("nobody puts the cards' settings back should this process be killed, before the next start", "err", err)
		return
	}
	s.guarded = release
}

// restore puts everything back.
func (s *settings) restore(ctx context.Context, src Source) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for uuid, had := range s.of {
		errs = append(errs, s.putBack(ctx, src, uuid, had))
	}
	return errors.Join(errs...)
}

// setting makes power limits what was decided, beside the decisions: a driver that
// hangs holds no decision up.
func (k *Keeper) setting(ctx context.Context) {
	failing := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.settings.wake:
		}
		for _, w := range k.wards {
			k.mu.Lock()
			want, sample, fault, settled := w.decision.Power, w.ring.newest(), w.fault, w.settled
			k.mu.Unlock()
			if !settled || fault != gpu.FaultNone || w.device.Slice() || !sample.Has(gpu.ReadPowerLimit) {
				continue
			}
			err := k.settings.limit(ctx, k.Source, sample, want)
			if err != nil && !failing[w.device.UUID] {
				k.Log.Warn("power limit", "err", err)
			}
			failing[w.device.UUID] = err != nil
		}
	}
}

// Restore puts back what a keeper changed that ended without doing so itself.
func Restore(ctx context.Context, file string, src Source) error {
	s, err := openSettings(file, time.Now)
	if err != nil {
		return err
	}
	return s.restore(ctx, src)
}

// Changed says whether there is anything to put back.
func Changed(file string) bool {
	s, err := openSettings(file, time.Now)
	return err == nil && len(s.of) > 0
}
