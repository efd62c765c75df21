package main

import (
	"github.com/rigmesh/rigmesh/runtime/containerd/daemon"
	"github.com/urfave/cli/v2"
)

// containerdCommand is the child process of a worker that runs its tasks.
func containerdCommand(console) *cli.Command {
	return &cli.Command{
		Name:            daemon.Subcommand,
		Hidden:          true,
		SkipFlagParsing: true,
		HideHelpCommand: true,
		Action:          func(c *cli.Context) error { return daemon.Main(c.Context, c.Args().Slice()) },
	}
}
