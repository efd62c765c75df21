package main

import (
	"fmt"

	"github.com/rigmesh/rigmesh/node/control"
	"github.com/urfave/cli/v2"
)

func downCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:     "down",
		Usage:    "stop this machine's node",
		Category: categoryAll,
		Description: "Tasks of others that run here go on without the node and are found again by the next rigmesh up;\n" +
			"with --drain the node takes no new lease, and ends when the last one has.\n\n" + examples("rigmesh down", "sudo rigmesh down --drain"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "drain", Usage: "finish the leases first", DisableDefaultText: true},
		},
		Action: func(c *cli.Context) error { return down(c, k) },
	}, arguments{0, 0})
}

// down returns when the node's process has let go of its data directory.
func down(c *cli.Context, k console) error {
	dir, err := dataDir(c, k)
	if err != nil {
		return err
	}
	client, err := control.Dial(c.Context, dir)
	if err != nil {
		return err
	}
	if err := client.Shutdown(c.Context, c.Bool("drain")); err != nil {
		return err
	}
	client.Close()
	if err := control.AwaitGone(c.Context, dir); err != nil {
		return fmt.Errorf("wait for the node to stop: %w", err)
	}
	return nil
}
