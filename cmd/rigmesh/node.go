package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/rigmesh/rigmesh/node"
	"github.com/rigmesh/rigmesh/node/config"
	"github.com/rigmesh/rigmesh/node/control"
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/urfave/cli/v2"
)

// nodeCommand is the node that rigmesh run starts in the background.
func nodeCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:        "node",
		Usage:       "run a node that only rents; rigmesh run starts one by itself",
		Hidden:      true,
		Description: examples("rigmesh node --requester --idle-exit 10m"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "requester", Usage: "rent, and lend nothing", DisableDefaultText: true},
			&cli.StringFlag{Name: "idle-exit", Usage: "end after `TIME` without a job or a caller"},
			mdnsFlag(), portMapFlag(),
			&cli.StringSliceFlag{Name: "listen", Usage: "`ADDRESS` to listen on; repeatable"},
		},
		Action: func(c *cli.Context) error {
			if !c.Bool("requester") {
				return hint(usagef("rigmesh node wants --requester"), "rigmesh up is the node that lends")
			}
			cfg, err := nodeSettings(c, k)
			if err != nil {
				return err
			}
			cfg.Worker = false
			err = serve(c.Context, k, cfg, node.Parts{}, func(*controlv1.StatusResponse) {})
			var locked *control.LockedError
			if errors.As(err, &locked) {
				return &exitError{control.ExitLocked, nil} // whoever started us connects to the other
			}
			return err
		},
	}, arguments{0, 0})
}

// newLog is the log of a node in this process.
func newLog(w io.Writer, cfg config.Config) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: cfg.Level()}))
}

// heapGrowth is by how many percent a node's heap grows before it is collected, unless GOGC
// says. It is a few MiB: collecting it twice as often keeps more than one of them free all the time,
// and costs a job 1 % more CPU.
const heapGrowth = 50

// startNode runs the node of this machine until ctx is done or it was told to stop. The error
// is a *control.LockedError when another process owns the data directory.
func startNode(ctx context.Context, cfg config.Config, parts node.Parts) error {
	if _, said := os.LookupEnv("GOGC"); !said {
		debug.SetGCPercent(heapGrowth)
	}
	parts.Version, parts.SealRate = version, node.DefaultSealRate
	n, err := node.New(cfg, parts)
	var none *node.NoCardsError
	switch {
	case errors.As(err, &none):
		return hint(err, "%s", none.Remedy())
	case err != nil:
		return err
	}
	return n.Run(ctx)
}
