package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/rigmesh/rigmesh/node"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
)

// restoreCards is the name of the process that a worker starts beside itself.
const restoreCards = "restore-cards"

// restoreCardsCommand waits for the end of the worker that started it, and puts
// back what that had changed about the machine's devices if it did not do so itself.
func restoreCardsCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:        restoreCards,
		Usage:       "put back the settings of cards when standard input ends",
		Hidden:      true,
		Description: examples("rigmesh restore-cards --data /var/lib/rigmesh </dev/null"),
		Flags:       []cli.Flag{&cli.StringFlag{Name: "simulate-gpu", Usage: "the `GPUS` that are made up"}},
		Action: func(c *cli.Context) error {
			cfg, err := settings(c, k)
			if err != nil {
				return err
			}
			override(c, "simulate-gpu", &cfg.SimulateGPU)
			_, _ = io.Copy(io.Discard, k.in) // until whoever holds the other end is gone
			return putBack(c.Context, cfg)
		},
	}, arguments{0, 0})
}

// putBack tries for a while: a driver that hung is why the worker is gone, perhaps.
func putBack(ctx context.Context, cfg config.Config) error {
	const tries, pause = 30, 2 * time.Second
	var failed error
	for n := range tries {
		if n > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
		}
		if !node.CardsChanged(cfg.DataDir) {
			return nil // the worker did it, and waits for the end of this process
		}
		release, err := control.Lock(node.CardsDir(cfg.DataDir))
		if failed = err; errors.As(err, new(*control.LockedError)) {
			continue // the killed worker, whose files are still being closed, or a new one
		}
		if err != nil {
			return err
		}
		failed = node.RestoreCards(ctx, cfg)
		release()
		if failed == nil {
			return nil
		}
	}
	if errors.As(failed, new(*control.LockedError)) {
		return nil // a worker is there again, and has done it
	}
	return fmt.Errorf("settings of the cards are not put back; the next rigmesh up does it: %w", failed)
}
