package main

import (
	controlv1 "github.com/rigmesh/rigmesh/proto/control/v1"
	"github.com/urfave/cli/v2"
)

func logsCommand(k console) *cli.Command {
	return command(&cli.Command{
		Name:        "logs",
		Usage:       "print what a job wrote",
		Category:    categoryRent,
		ArgsUsage:   "JOB",
		Description: examples("rigmesh logs -f 3f2a", "rigmesh logs 3f2a 2>/dev/null  # its standard output alone"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until the job has ended", DisableDefaultText: true},
		},
		Action: func(c *cli.Context) error { return logs(c, k) },
	}, arguments{1, 1})
}

func logs(c *cli.Context, k console) error {
	client, err := dial(c, k)
	if err != nil {
		return err
	}
	out := newOutput(k)
	for item, err := range client.Watch(c.Context, &controlv1.WatchJobRequest{
		JobId: c.Args().First(), Follow: c.Bool("follow"), LogsOnly: true,
	}) {
		if err != nil {
			return err
		}
		if err := out.write(item.GetChunk()); err != nil {
			return err
		}
	}
	return nil
}
