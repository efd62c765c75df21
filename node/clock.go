package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// clock tells the time leases are counted in. Within one boot of the machine it
// runs evenly through suspends, process restarts and changes of the wall clock;
// after a reboot it begins anew at the wall clock.
type clock struct {
	Boot string        `json:"boot"` // which boot of the machine
	Up   time.Duration `json:"up"`   // time since boot, when anchored
	Wall time.Time     `json:"wall"` // wall clock, when anchored
}

// openClock goes on with the anchor of an earlier process of this boot, or sets one.
func openClock(path string) (*clock, error) {
	boot, up, err := sinceBoot()
	if err != nil {
		return nil, err
	}
	var c clock
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err == nil && json.Unmarshal(b, &c) == nil && c.Boot == boot && c.Up <= up {
		return &c, nil
	}
	c = clock{Boot: boot, Up: up, Wall: time.Now().Round(0)}
	if b, err = json.Marshal(c); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return nil, fmt.Errorf("keep the anchor: %w", err)
	}
	return &c, nil
}

func (c *clock) now() time.Time {
	_, up, err := sinceBoot()
	if err != nil {
		return time.Now() // it worked when the node started
	}
	return c.Wall.Add(up - c.Up)
}
