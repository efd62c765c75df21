package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/rigmesh/rigmesh/job/journal"
)

// word is what the owner said last. It counts until the owner says otherwise, also
// after a restart: a machine that was paused does not lend again by itself.
type word struct {
	Paused   bool `json:"paused"`
	Draining bool `json:"draining"`
}

func readWord(file string) (word, error) {
	var w word
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return w, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		return w, fmt.Errorf("what the owner said last: %w", err)
	}
	return w, nil
}

func (w word) write(file string) error {
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return journal.WriteFile(file, append(b, '\n'))
}

// Pause takes every device back, after notice, and lends none.
func (k *Keeper) Pause() error { return k.say(word{Paused: true}) }

// Drain lends no device anew, and leaves leases as they are.
func (k *Keeper) Drain() error { return k.say(word{Draining: true}) }

// Resume lends again, as far as the rules allow.
func (k *Keeper) Resume() error { return k.say(word{}) }

func (k *Keeper) say(w word) error {
	if err := w.write(k.Word); err != nil {
		return fmt.Errorf("remember what the owner said: %w", err)
	}
	k.mu.Lock()
	k.word = w
	k.mu.Unlock()
	k.nudge()
	return nil
}
