//go:build linux

package egress

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
)

// defaultLookEvery bounds for how long a task is without rules that somebody took away.
const defaultLookEvery = 5 * time.Second

// lookAfter looks again and again until ctx ends.
func (g *Gate) lookAfter(ctx context.Context) {
	tick := time.NewTicker(g.lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := g.look(ctx); err != nil {
			g.log.Warn("look after the network of tasks", "err", err)
		}
	}
}

// look puts back what was there when a task was connected. Whoever loads a host's firewall
// anew takes our table away as well, and a host's way out may become another. Without rules
// nobody stays connected.
func (g *Gate) look(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	c, err := nftables.New()
	if err != nil {
		return err
	}
	there, err := g.hasTable(c)
	if err != nil {
		return err
	}
	if !there {
		if err := g.makeTable(); err != nil {
			return errors.Join(fmt.Errorf("the rules are gone, and cannot be made again: %w", err), g.unplugAll())
		}
		g.log.Warn("somebody took the rules for the network of tasks away: they are made again")
	}
	return g.letAnswersIn()
}

func (g *Gate) unplugAll() (err error) {
	for id, s := range g.servers {
		err = errors.Join(err, s.link.unplug(g.alias(id)))
	}
	return err
}
